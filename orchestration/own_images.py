"""Load images that are more than this project's: with a user's packages, or a user's own."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.errors import (
    EngineRefused,
    ImageMissing,
    ImageUnusable,
    StageCrashed,
)
from orchestration.image_sources import REPOSITORIES, TAG_DIGITS, ImageSources
from orchestration.own_packages import constraints
from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import Event, Notify, Stage, StageProcess, StageSpec
from orchestration.settings import TorchVariant

if TYPE_CHECKING:
    from orchestration.image_store import ImageDetails, ImageStore

DOCKERFILE = "docker/Dockerfile.load-packages"
BUILD_SIF_COMMAND = "python orchestrate.py build --runtime apptainer"
START_TIMEOUT_S = 120
TITLES: Mapping[Stage, str] = {"extract": "Stage 1", "load": "Stage 2"}
_SHOWN_LINES = 3


@dataclass(frozen=True)
class ExtendedSources(ImageSources):
    """What a load image with a user's packages is made from; the hash of its base is one file."""

    @classmethod
    def of(cls, base: ImageSources, base_digest: str, requirements: Path) -> ExtendedSources:
        """The sources of `base`, which has this digest, with the packages of a file."""
        lock = base.files[base.lock].decode()
        files = {
            "base-image": base_digest.encode(),
            "constraints.txt": constraints(lock).encode(),
            DOCKERFILE: (repository_folder() / DOCKERFILE).read_bytes(),
            "requirements.txt": requirements.read_bytes(),
        }
        return cls("load", None, files)

    @property
    def dockerfile(self) -> str:
        """Path of the Dockerfile inside the context."""
        return DOCKERFILE

    @property
    def reference(self) -> str:
        """Name and tag of the image."""
        return f"{REPOSITORIES['load']}-packages:{self.content_hash()[:TAG_DIGITS]}"


def find_extended_image(
    engine: ImageStore, base: ImageSources, base_details: ImageDetails, requirements: Path
) -> tuple[str, ImageDetails]:
    """Name and details of the load image with a user's packages.

    Raises:
        ImageMissing: it has not been built. Nothing is built here.
    """
    sources = ExtendedSources.of(base, base_details.image_id, requirements)
    details = engine.find_image(sources.reference)
    if details is None:
        raise ImageMissing(
            f"There is no load image with the packages of {requirements}.",
            "Images are built in a step of their own, never in the middle of a run.",
            f"Run `{extended_build_command(base.torch_variant, requirements)}`, or pass"
            " `--runtime local`.",
        )
    return sources.reference, details


def extended_build_command(variant: TorchVariant | None, requirements: Path) -> str:
    """The command that builds a load image with a user's packages."""
    torch = " --torch cuda" if variant == "cuda" else ""
    file = shlex.quote(os.fspath(requirements))
    return f"python orchestrate.py build --stage load{torch} --requirements {file}"


def find_own_image(engine: ImageStore, stage: Stage, name: str) -> tuple[str, ImageDetails]:
    """Name and details of an image of the user's own.

    Raises:
        ImageUnusable: it is not on this machine.
    """
    details = engine.find_image(name)
    if details is not None:
        return name, details
    if engine.program == "apptainer":
        raise ImageUnusable(
            f"There is no image file {name}.",
            "The path of a SIF file was expected: Apptainer's images are files.",
            f"Correct --image-{stage}, or make the file with `{BUILD_SIF_COMMAND}`.",
        )
    raise unusable_image(stage, f"The image {name} is not on this machine, and nothing is fetched.")


def check_own_image(
    stage: Stage, name: str, start: Callable[[StageSpec, Notify], StageProcess]
) -> Event:
    """Start a stage in an image of the user's own, once, and return what it says of itself.

    Args:
        stage: which one.
        name: of the image.
        start: starts a stage in it.

    Raises:
        ImageUnusable: what starts there is not that stage.
    """
    said: list[str] = []
    try:
        process = start(StageSpec(stage, ()), said.append)
    except EngineRefused as error:
        raise unusable_image(
            stage, f"{TITLES[stage]} does not start in {name}: {error.happened}"
        ) from error
    timer = threading.Timer(START_TIMEOUT_S, process.kill)
    timer.start()
    try:
        process.close_input()
        event = next(process.events(), {})
    except StageCrashed as error:
        raise unusable_image(
            stage, f"What starts in {name} is not {TITLES[stage].lower()}. {error.happened}"
        ) from error
    finally:
        timer.cancel()
        process.kill()
    if (event.get("event"), event.get("stage")) != ("ready", stage):
        last = " / ".join(line.strip() for line in said[-_SHOWN_LINES:] if line.strip())
        raise unusable_image(
            stage,
            f"{TITLES[stage]} does not start in {name}; it said: {last or 'nothing'}.",
        )
    return event


def unusable_image(stage: Stage, happened: str) -> ImageUnusable:
    """The error for an image of the user's own in which a stage cannot run."""
    if stage == "extract":
        return ImageUnusable(
            happened,
            "An image whose entry point is `python -m stage_extract` was expected, such as this"
            " project's extract image.",
            "Build it with `python orchestrate.py build`, or leave --image-extract out.",
        )
    return ImageUnusable(
        happened,
        "An image whose entry point is `python -m stage_load` was expected, with torch, numpy and"
        " what else that imports: simplest one made FROM this project's load image.",
        "Add packages with `--requirements FILE` instead, or write a Dockerfile that begins with"
        f" `FROM {REPOSITORIES['load']}:TAG` (`docker image ls {REPOSITORIES['load']}`), and build"
        " it.",
    )
