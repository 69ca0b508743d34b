"""A runtime by what is in the bag alone: its images, or environments of its packages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, cast, get_args

from orchestration.archive.image_archives import restore_image
from orchestration.archive.layout import IMAGES, OCI_SUFFIX, SIF_SUFFIX, WHEELHOUSE
from orchestration.archive.verify.settings import VerifySettings
from orchestration.environments import environments_folder
from orchestration.recorded_run import RecordedRun
from orchestration.run_context import RunContext
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage
from orchestration.runtimes.registry import RUNTIMES, choose_runtime
from orchestration.settings import ImageRuntimeName, RuntimeName, RuntimeOptions

_LOCAL: Final = "local"
_CACHE_VARIABLE: Final = "XDG_CACHE_HOME"


class BagRuntime:
    """How the stages of a recorded run are run by what is in its bag.

    Args:
        run: the recorded run.
        bag: the bag, or where it was unpacked.
        settings: what the user wants of the verification.
        scratch: an empty folder, for images that are no engine's.
        context: of the command.

    Attributes:
        images: stage -> archive of its image, as far as the bag has them.
    """

    def __init__(
        self,
        run: RecordedRun,
        bag: Path,
        settings: VerifySettings,
        scratch: Path,
        context: RunContext,
    ) -> None:
        self._run = run
        self._bag = bag
        self._given = settings.runtime
        self._outer = context
        self._environment = _own_cache(context.environment, scratch)
        self.images = dict(_archives(bag))

    @cached_property
    def name(self) -> RuntimeName | None:
        """Which runtime it is; None if the bag serves none."""
        asked, recorded = self._given.name, self._run.runtime.name
        if asked == "auto" and self.images:
            return recorded if recorded != _LOCAL else self._first_engine()
        if asked == "auto":
            return _LOCAL if recorded == _LOCAL else None
        return asked if self.images or asked == _LOCAL else None

    @property
    def is_in_images(self) -> bool:
        """Whether the stages run in the bag's images."""
        return bool(self.images) and self.name not in (None, _LOCAL)

    @cached_property
    def options(self) -> RuntimeOptions:
        """How the stages are run; images are given to the engine now.

        Raises:
            OrchestrationError: the engine cannot be used, or does not take an image.
        """
        assert self.name is not None
        recorded = self._run.runtime
        options = replace(
            self._given,
            name=self.name,
            device=recorded.device,
            torch_variant=recorded.torch_variant,
        )
        if self.name == _LOCAL:
            wheelhouse = self._bag / WHEELHOUSE
            packages = wheelhouse if wheelhouse.is_dir() else None
            given = options.wheelhouse or packages
            return replace(options, wheelhouse=given, requirements=recorded.requirements)
        restored = {stage: self._restored(path) for stage, path in self.images.items()}
        return replace(
            options,
            # Where both stages ran in one image, it lies there as load's.
            extract_image=restored.get("extract", restored.get("load")),
            load_image=restored.get("load"),
            # Packages of the user's own are in the image.
            requirements=None,
        )

    @cached_property
    def context(self) -> RunContext:
        """A context whose runtime this is, and that finds no earlier export or image.

        Raises:
            OrchestrationError: see `options`.
        """
        options, notify = self.options, self._outer.display.notify
        return RunContext(
            choose=lambda: choose_runtime(options, self._environment, notify),
            display=self._outer.display,
            argv=self._outer.argv,
            environment=self._environment,
        )

    def _restored(self, path: Path) -> str:
        notify = self._outer.display.notify
        notify(f"Image: {path.name}, which stays there without a name")
        return restore_image(
            cast(ImageRuntimeName, self.name),
            path,
            with_name=False,
            environment=self._environment,
            notify=notify,
        )

    def _first_engine(self) -> RuntimeName:
        """A container engine that works here, or else the first, which then says what it lacks."""
        names: tuple[RuntimeName, ...] = get_args(ImageRuntimeName)
        usable = (
            name
            for name in names
            if RUNTIMES[name](self._given, self._environment).availability().ok
        )
        return next(usable, names[0])


def _archives(bag: Path) -> Iterator[tuple[Stage, Path]]:
    for stage in get_args(Stage):
        for suffix in (OCI_SUFFIX, SIF_SUFFIX):
            path = bag / IMAGES / f"{stage}{suffix}"
            if path.is_file():
                yield stage, path


def _own_cache(environment: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """An environment in which no earlier export or image is found, but environments are."""
    own = folder / PROJECT
    own.mkdir(parents=True)
    shared = environments_folder(environment)
    if shared.is_dir():
        (own / "environments").symlink_to(shared)
    return {**environment, _CACHE_VARIABLE: os.fspath(folder)}
