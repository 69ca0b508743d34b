"""The last link: the whole run once more, by what is in the bag alone, and every byte compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast, get_args

from orchestration.archive.image_archives import restore_image
from orchestration.archive.layout import IMAGES, RESULT, WHEELHOUSE
from orchestration.archive.verify.image_records import OCI_SUFFIX, SIF_SUFFIX
from orchestration.archive.verify.places import folders_in_bag
from orchestration.archive.verify.settings import VerifySettings
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.environments import environments_folder
from orchestration.recorded_run import RecordedRun
from orchestration.rerun import Reproduction, RerunSettings, rerun
from orchestration.run_context import RunContext
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage
from orchestration.runtimes.registry import RUNTIMES, choose_runtime
from orchestration.settings import ImageRuntimeName, RuntimeName, RuntimeOptions

_LOCAL: Final = "local"
_CACHE_VARIABLE: Final = "XDG_CACHE_HOME"


class RerunLink:
    """Repeats a run from its bag.

    Args:
        run: the recorded run.
        folder: has the originals under the names that they had: the bag, mostly.
        bag: the bag, or where it was unpacked.
        settings: what the user wants of the verification.
        scratch: an empty folder.
        context: of the command.
    """

    def __init__(
        self,
        run: RecordedRun,
        folder: Path,
        bag: Path,
        settings: VerifySettings,
        scratch: Path,
        context: RunContext,
    ) -> None:
        self._run = run
        self._folder = folder
        self._bag = bag
        self._settings = settings
        self._scratch = scratch
        self._context = context
        self._environment = _own_cache(context.environment, scratch / "cache")

    def verdict(self) -> Verdict:
        """Repeat the run and compare.

        Raises:
            OrchestrationError: an image, an engine or a stage is the cause.
        """
        images = dict(self._archives())
        runtime = self._runtime_name(images)
        if runtime is None:
            why = "the bag holds no images (archive --with-images), and none was the runtime"
            return not_checked("rerun", f"{why}; --runtime local makes environments from its locks")
        options = self._options(runtime, images)
        context = RunContext(
            choose=lambda: choose_runtime(options, self._environment, self._context.display.notify),
            display=self._context.display,
            argv=self._context.argv,
            environment=self._environment,
        )
        moved = folders_in_bag(self._run, self._folder)
        asked = RerunSettings(self._run, self._scratch / "rerun", options, moved)
        reproduction = rerun(asked, context)
        notes = [f"not as it was: {condition}" for condition in reproduction.conditions]
        by = f"{runtime} with the bag's images" if images and runtime != _LOCAL else runtime
        details = f"by {by}: {len(reproduction.equal):,} files equal byte for byte"
        return judged("rerun", list(_faults(reproduction)), details, notes)

    def _archives(self) -> Iterator[tuple[Stage, Path]]:
        """The image of each stage, as far as the bag has them."""
        for stage in get_args(Stage):
            for suffix in (OCI_SUFFIX, SIF_SUFFIX):
                path = self._bag / IMAGES / f"{stage}{suffix}"
                if path.is_file():
                    yield stage, path

    def _runtime_name(self, images: Mapping[Stage, Path]) -> RuntimeName | None:
        """By which runtime the run is repeated; None if by none."""
        asked, recorded = self._settings.runtime.name, self._run.runtime.name
        if asked == "auto" and images:
            return recorded if recorded != _LOCAL else self._first_engine()
        if asked == "auto":
            return _LOCAL if recorded == _LOCAL else None
        return asked if images or asked == _LOCAL else None

    def _first_engine(self) -> RuntimeName:
        """A container engine that works here, or else the first, which then says what it lacks."""
        names: tuple[RuntimeName, ...] = get_args(ImageRuntimeName)
        options = self._settings.runtime
        usable = (
            name for name in names if RUNTIMES[name](options, self._environment).availability().ok
        )
        return next(usable, names[0])

    def _options(self, runtime: RuntimeName, images: Mapping[Stage, Path]) -> RuntimeOptions:
        """How the stages are run: in the bag's images, or in environments of the bag's packages."""
        recorded = self._run.runtime
        options = replace(
            self._settings.runtime,
            name=runtime,
            device=recorded.device,
            torch_variant=recorded.torch_variant,
        )
        if runtime == _LOCAL:
            wheelhouse = self._bag / WHEELHOUSE
            given = options.wheelhouse or (wheelhouse if wheelhouse.is_dir() else None)
            return replace(options, wheelhouse=given, requirements=recorded.requirements)
        restored = {
            stage: restore_image(
                cast(ImageRuntimeName, runtime),
                path,
                environment=self._environment,
                notify=self._context.display.notify,
            )
            for stage, path in images.items()
        }
        # Packages of the user's own are in the image.
        return replace(
            options,
            # Where both stages ran in one image, it lies there as load's.
            extract_image=restored.get("extract", restored.get("load")),
            load_image=restored.get("load"),
            requirements=None,
        )


def _own_cache(environment: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """An environment in which no earlier export or image is found, but environments are."""
    own = folder / PROJECT
    own.mkdir(parents=True)
    shared = environments_folder(environment)
    if shared.is_dir():
        (own / "environments").symlink_to(shared)
    return {**environment, _CACHE_VARIABLE: os.fspath(folder)}


def _faults(reproduction: Reproduction) -> Iterator[Fault]:
    told = {
        "other bytes": reproduction.differing,
        "it is not made any more": reproduction.missing,
        "it is made now, and was not": reproduction.added,
    }
    for what, names in told.items():
        for name in names:
            yield Fault(f"{RESULT}/{name}", "not reproduced", what)
