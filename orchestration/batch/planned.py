"""One item of a batch, with everything that is known of it before its work begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestration.batch.done_check import Check, check_result
from orchestration.batch.items import Item
from orchestration.export_reuse import export_key
from orchestration.previous_result import check_out
from orchestration.readers import home_of_stage_1, with_chosen_reader
from orchestration.result_request import convert_request
from orchestration.run_paths import CheckpointPath, find_checkpoint
from orchestration.runtimes.base import Notify, Runtime, Stage
from orchestration.settings import ExtractOptions, Reader
from orchestration.stage_specs import extract_mounts, load_mounts

Identity = Callable[[Stage, Stage | None], dict[str, Any]]


@dataclass(frozen=True)
class PlannedItem:
    """An item whose checkpoint was found.

    Attributes:
        item: what was asked for.
        checkpoint: on this machine.
        out: the result folder, without symbolic links.
        options: of stage 1, with the reader that is used.
        export_key: see `export_reuse.export_key`.
        request: what the manifest of its result will say that it was made from.
        outdated: what was found to be wrong with the result that is there; None = there is none.
    """

    item: Item
    checkpoint: CheckpointPath
    out: Path
    options: ExtractOptions
    export_key: str
    request: dict[str, Any]
    outdated: Check | None = None

    @property
    def reader(self) -> Reader:
        """The reader that stage 1 is started with."""
        return self.options.reader

    @property
    def input_folders(self) -> tuple[Path, ...]:
        """Where the checkpoint's files lie, first the checkpoint's own folder."""
        data = self.options.data_folder
        return (self.checkpoint.folder, *(() if data is None else (data,)))

    def check(self, seen: Mapping[str, Any], *, verify: bool = False) -> Check:
        """Look whether its result is there and right, see `done_check`."""
        return check_result(self.out, self.request, self.input_folders, seen, verify=verify)

    def missing(self) -> Path | None:
        """What the stages need and is not there any more."""
        load = self.item.settings.load
        mounts = extract_mounts(self.checkpoint, self.options, "", "") + load_mounts(load, "", "")
        sources = (mount.source for mount in mounts)
        return next((source for source in sources if not source.exists()), None)


class Planner:
    """Finds what each item needs; what is the same for all items is asked once.

    Args:
        items: all of them.
        runtime: runs the stages; it is prepared here.
        notify: is told which reader is used.

    Raises:
        OrchestrationError: the runtime cannot run them.
    """

    def __init__(self, items: Iterable[Item], runtime: Runtime, notify: Notify) -> None:
        self._identity: Identity = cache(runtime.identity)
        readers = {item.settings.extract.reader for item in items}
        self._auto: Reader = "auto"
        if "auto" in readers:
            self._auto = with_chosen_reader(ExtractOptions(), runtime, notify).reader
        homes = {home_of_stage_1(self._chosen(reader)) for reader in readers}
        runtime.prepare(sorted({*homes, "load"}), notify)

    def plan(self, item: Item) -> PlannedItem:
        """Look at an item's checkpoint, output and options.

        Raises:
            CheckpointMissing: its checkpoint is gone.
            ResultExists, OutputNotWritable: a result cannot be made there.
        """
        settings = item.settings
        checkpoint = find_checkpoint(settings.checkpoint)
        out = check_out(settings.out, settings.force, checkpoint.folder)
        options = replace(settings.extract, reader=self._chosen(settings.extract.reader))
        stage_1 = self._identity("extract", home_of_stage_1(options.reader))
        key = export_key(checkpoint, options, stage_1)
        device = settings.runtime.device
        request = convert_request(key, settings.load, device, self._identity("load", None))
        return PlannedItem(item, checkpoint, out, options, key, request)

    def _chosen(self, reader: Reader) -> Reader:
        return self._auto if reader == "auto" else reader
