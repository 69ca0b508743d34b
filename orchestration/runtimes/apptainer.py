"""The stages as containers of Apptainer's, for which nobody needs to be root."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestration.errors import EngineNotInstalled, EngineRefused, ImageMissing
from orchestration.image_store import ImageDetails
from orchestration.images import find_image
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.apptainer_arguments import SETTINGS, Apptainer
from orchestration.runtimes.apptainer_memory import check_memory_limit
from orchestration.runtimes.apptainer_process import ApptainerProcess
from orchestration.runtimes.apptainer_scratch import remove_leftovers
from orchestration.runtimes.base import Availability, Notify, Stage, StageSpec
from orchestration.runtimes.container_images import (
    check_own_images,
    find_stage_images,
    image_record,
)
from orchestration.settings import RuntimeOptions
from orchestration.sif.program import Program, find_program
from orchestration.sif.store import SifStore

CARD_DRIVER = Path("/dev/nvidiactl")


class ApptainerRuntime:
    """Each stage in a container made of its own SIF file.

    Args:
        options: how the stages are to be run.
        environment: the caller's.
    """

    name = "apptainer"

    def __init__(self, options: RuntimeOptions, environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._images: dict[Stage, tuple[str, ImageDetails]] = {}
        self._gpu = False
        self._store: SifStore | None = None
        self._program: Program | None = None

    def availability(self) -> Availability:
        """Usable when it is installed and has an image of stage 2: whoever has none means another.

        Unlike an engine's, its images can be anywhere, so they alone tell that it is in use here.
        """
        try:
            program = find_program(self._environment)
            if self._options.load_image is None:
                find_image(SifStore(program, self._environment), "load", ("cpu", "cuda"))
        except (EngineNotInstalled, EngineRefused, ImageMissing) as error:
            return Availability(False, error.happened, error.remedy)
        return Availability(True, f"{program.title} and its images are here")

    def tensorflow(self) -> Availability:
        """It runs where this machine is x86-64 with AVX."""
        machine = platform.machine()
        missing = why_no_tensorflow(machine, read_cpu_flags())
        return Availability(missing is None, missing or f"containers run on {machine}")

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Find the stages' images. Nothing is built or fetched.

        Raises:
            EngineNotInstalled: there is no Apptainer.
            FeatureUnavailable: a memory limit was asked for, which is not kept here.
            ImageMissing: an image has not been built from the present sources.
            ImageUnusable: a file is no image, or a stage does not start in the user's own.
        """
        program = find_program(self._environment)
        self._program, self._store = program, SifStore(program, self._environment)
        gpu = wants_gpu(self._options.device)
        found = find_stage_images(self._store, stages, self._options, gpu, notify)
        self._images |= found.images
        self._gpu = found.gpu
        limit = self._options.memory_limit_bytes
        if limit is not None:
            image = self._store.path(next(iter(self._images.values()))[0])
            check_memory_limit(self._apptainer(gpu=False), image, limit, self._environment)
        check_own_images(stages, self._options, self.start, notify)

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        """Name of the image that the stage runs in, and SHA-256 of its file."""
        reference, details = self._images[home or stage]
        return {"runtime": self.name, "image": reference, "digest": details.image_id}

    def home_record(self, home: Stage) -> dict[str, Any]:
        """What the manifest tells of a stage's image; its name is the path of its file."""
        assert self._program is not None, "prepare() comes first"
        assert self._store is not None, "prepare() comes first"
        reference, details = self._images[home]
        path = os.fspath(self._store.path(reference))
        return image_record(home, path, details, self._program.title)

    def start(
        self, spec: StageSpec, on_text: Notify, command: Sequence[str] = ()
    ) -> ApptainerProcess:
        """Start a container. Returns at once; `wait` tells whether Apptainer failed.

        Args:
            spec: what to run.
            on_text: takes each line of stderr, from a thread.
            command: runs in place of the stage.
        """
        assert self._store is not None, "prepare() comes first"
        reference, _ = self._images[spec.home or spec.stage]
        apptainer = self._apptainer(gpu=self._gpu and spec.stage == "load")
        image = self._store.path(reference)
        return ApptainerProcess(apptainer, spec, image, self._environment, on_text, command)

    def _apptainer(self, gpu: bool) -> Apptainer:
        assert self._program is not None, "prepare() comes first"
        return Apptainer(
            self._program.path,
            is_root=os.geteuid() == 0,
            gpu=gpu,
            unsquash=self._options.unsquash,
            settings=tuple(path for path in SETTINGS if os.path.exists(path)),
        )

    def reap(self) -> None:
        """Remove the scratch of runs that are gone; the kernel ended their containers."""
        remove_leftovers(self._environment)


def wants_gpu(device: str, driver: Path = CARD_DRIVER) -> bool:
    """Whether the load stage gets the machine's graphics cards.

    Args:
        device: as given to `--device`.
        driver: is there where NVIDIA's driver is loaded.
    """
    return driver.exists() if device == "auto" else device.startswith("cuda")
