"""Images that a Docker engine has, given to Podman: nothing is built twice, digests stay."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from orchestration.engine_access import open_engine
from orchestration.errors import FeatureUnavailable, ImageBuildFailed
from orchestration.image_records import record_image
from orchestration.image_store import ImageDetails
from orchestration.images import (
    BASE_DIGEST_LABEL,
    BASE_NAME_LABEL,
    DOCKER,
    BuiltImage,
    find_image,
)
from orchestration.own_images import find_extended_image
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.runtimes.base import Stage
from orchestration.settings import BuildSettings

if TYPE_CHECKING:
    from orchestration.engine import Engine


def take_over_images(
    settings: BuildSettings,
    notify: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> list[BuiltImage]:
    """Load the images of the stages asked for from the Docker engine of this machine into Podman.

    Args:
        settings: which images.
        notify: takes what Podman says, line by line.
        environment: the caller's.

    Raises:
        FeatureUnavailable: it is Docker that is to have them.
        EngineNotInstalled, EngineNotRunning, EngineForbidden: one of the two is not usable.
        ImageMissing: the Docker engine has none that is made from the present sources.
        ImageBuildFailed: Podman has another image afterwards.
    """
    if settings.runtime == DOCKER:
        raise FeatureUnavailable(
            "--from-docker was given, and the images are for the docker runtime.",
            "Another runtime was expected, that takes them over.",
            "Add `--runtime podman`, or leave --from-docker out.",
        )
    podman = PodmanEngine(PodmanCommand(environment))
    engine = open_engine()
    try:
        taken = []
        for stage, reference, details in _found(engine, settings):
            _take_over(engine, podman, reference, details, notify)
            labels = details.labels
            base_name, base_digest = labels[BASE_NAME_LABEL], labels[BASE_DIGEST_LABEL]
            record_image(reference, details, base_name, base_digest, podman)
            taken.append(BuiltImage(stage, reference, details.image_id, details.size_bytes))
        return taken
    finally:
        engine.close()


def _take_over(
    engine: Engine,
    podman: PodmanEngine,
    reference: str,
    details: ImageDetails,
    notify: Callable[[str], None],
) -> None:
    if _digest(podman, reference) == details.image_id:
        notify(f"{reference} is there already, the same image as the Docker engine's")
        return
    notify(f"Taking {reference} over from the Docker engine")
    for line in podman.load_images(engine.save_image(reference)):
        notify(line)
    _check(podman, reference, details)


def _found(engine: Engine, settings: BuildSettings) -> list[tuple[Stage, str, ImageDetails]]:
    found = []
    for stage in settings.stages:
        sources, details = find_image(engine, stage, (settings.torch_variant,))
        found.append((stage, sources.reference, details))
        if stage == "load" and settings.requirements is not None:
            extended = find_extended_image(engine, sources, details, settings.requirements)
            found.append((stage, *extended))
    return found


def _digest(podman: PodmanEngine, reference: str) -> str | None:
    details = podman.find_image(reference)
    return None if details is None else details.image_id


def _check(podman: PodmanEngine, reference: str, expected: ImageDetails) -> None:
    digest = _digest(podman, reference)
    if digest != expected.image_id:
        raise ImageBuildFailed(
            f"Podman has {digest or 'no image'} under the name {reference} after it was loaded.",
            f"{expected.image_id} was expected, as the Docker engine has it.",
            "Look at `podman image ls`, or build it with `--runtime podman` alone.",
        )
