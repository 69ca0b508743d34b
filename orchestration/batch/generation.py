"""The items that one worker of either stage may see, and what it is started from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.batch.lane_folder import LaneFolder
from orchestration.batch.planned import PlannedItem
from orchestration.run_paths import (
    DATA_TARGET,
    INPUT_TARGET,
    MAP_TARGET,
    MODEL_TARGET,
    OUTPUT_TARGET,
)
from orchestration.runtimes.base import Mount, Stage, StageProcess, StageSpec
from orchestration.settings import Reader, RuntimeOptions
from orchestration.stage_specs import extract_mounts, extract_stage, load_mounts, load_stage

# Of an engine's command line and of a kernel's table of mounts, which each item makes longer.
MOST_ITEMS = 100


@dataclass(frozen=True)
class Generation:
    """Items that a lane's workers are started for, all with one reader.

    Attributes:
        items: what may be asked of the workers.
        reader: that stage 1 is started with.
        specs: what each stage is started from.
    """

    items: tuple[PlannedItem, ...]
    reader: Reader
    specs: dict[Stage, StageSpec]

    @classmethod
    def of(
        cls, items: Sequence[PlannedItem], folder: LaneFolder, runtime: RuntimeOptions
    ) -> Generation:
        """The generation of the first of some items and of those that can go with it.

        Args:
            items: at least one, in the order of the work.
            folder: where the lane works.
            runtime: how the stages are to be run.
        """
        reader = items[0].reader
        fitting = tuple(planned for planned in items if planned.reader == reader)[:MOST_ITEMS]
        output = Mount(folder.reading, OUTPUT_TARGET, read_only=False)
        read = extract_stage((*_input_mounts(fitting), output), reader, runtime)
        load = load_stage(folder.exports, folder.results, _own_mounts(fitting), runtime)
        return cls(fitting, reader, {"extract": read, "load": load})

    def holds(self, planned: PlannedItem) -> bool:
        """Whether the workers see what the item needs."""
        return planned in self.items

    def serves(self, planned: PlannedItem, processes: Iterable[StageProcess]) -> bool:
        """Whether workers that were started from this can do an item.

        Args:
            planned: the item.
            processes: those that run; plain processes see the whole machine.
        """
        if planned.reader != self.reader:
            return False
        return self.holds(planned) or all(map(_sees_everything, processes))


def _sees_everything(process: StageProcess) -> bool:
    try:
        process.path(Path("/"))
    except ValueError:
        return False
    return True


def _input_mounts(items: Iterable[PlannedItem]) -> Iterable[Mount]:
    """Folders of checkpoints, each once, with what their links lead to."""
    targets: dict[Path, str] = {}
    mounts: dict[Mount, None] = {}
    for planned in items:
        folder, data = planned.checkpoint.folder, planned.options.data_folder
        target = targets.setdefault(folder, _numbered(INPUT_TARGET, len(targets), folder))
        data_target = target
        if data is not None:
            data_target = targets.setdefault(data, _numbered(DATA_TARGET, len(targets), data))
        found = extract_mounts(planned.checkpoint, planned.options, target, data_target)
        mounts.update(dict.fromkeys(found))
    return mounts


def _own_mounts(items: Iterable[PlannedItem]) -> Iterable[Mount]:
    """Folders of the users' models and mappings, each once."""
    mounts: dict[Path, Mount] = {}
    for planned in items:
        number = len(mounts)
        targets = f"{MAP_TARGET}/{number}", f"{MODEL_TARGET}/{number}"
        for mount in load_mounts(planned.item.settings.load, *targets):
            mounts.setdefault(mount.source, mount)
    return mounts.values()


def _numbered(target: str, number: int, folder: Path) -> str:
    """Where a container sees one of several folders.

    As deep as on the host: a relative link that leads out of one folder must not arrive at the
    place that another one's leads to.
    """
    return "/".join([target, str(number), *("d" for _ in folder.parts[1:])])
