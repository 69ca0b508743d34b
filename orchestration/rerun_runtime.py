"""How the stages of a recorded run are run again: in the recorded images, if they are here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.errors import EngineRefused, ImageUnusable
from orchestration.image_sources import ImageSources
from orchestration.image_store import ImageStore
from orchestration.images import open_store
from orchestration.own_images import TITLES
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.runtimes.base import Notify
from orchestration.runtimes.container_images import own_image
from orchestration.settings import RuntimeOptions, TorchVariant
from orchestration.sif.program import find_program
from orchestration.sif.store import SifStore, file_name

_VARIANTS: tuple[TorchVariant, ...] = ("cpu", "cuda")
# What only the local runtime understands, and what only containers do.
_OF_LOCAL: Mapping[str, Any] = {"legacy_python": None, "load_python": None, "wheelhouse": None}
_OF_CONTAINERS: Mapping[str, Any] = {
    "memory_limit_bytes": None,
    "extract_image": None,
    "load_image": None,
    "unsquash": False,
}


def rerun_runtime(
    run: RecordedRun, given: Mapping[str, Any], environment: Mapping[str, str], notify: Notify
) -> RuntimeOptions:
    """The runtime options of a run, with those that are given in their place.

    Args:
        run: what is to be repeated.
        given: field of `RuntimeOptions` -> value.
        environment: the caller's.
        notify: is told when an image is not here.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: the runtime is not usable here.
    """
    recorded = run.runtime
    name = given.get("name", recorded.name)
    if name != recorded.name:
        recorded = replace(recorded, **_OF_LOCAL, **_OF_CONTAINERS)
    options = replace(recorded, **given)
    if name in ("auto", "local"):
        return options
    store = _open(name, environment)
    try:
        for image in run.images.values():
            if f"{image.stage}_image" not in given:
                options = _with_image(options, image, store, notify)
    finally:
        store.close()
    return options


def _open(name: str, environment: Mapping[str, str]) -> ImageStore:
    if name == "apptainer":
        return SifStore(find_program(environment), environment)
    return open_store("podman" if name == "podman" else "docker", environment)


def _with_image(
    options: RuntimeOptions, image: RecordedImage, store: ImageStore, notify: Notify
) -> RuntimeOptions:
    """The options with the recorded image of a stage, if it is here."""
    name = _name_here(image, store)
    if name is None:
        notify(
            f"The image in which {TITLES[image.stage].lower()} ran is not here"
            f" ({image.reference}, {image.id}); another is used"
        )
        return options
    if own_image(options, image.stage) is None and _is_present(image):
        return options
    if image.stage == "extract":
        return replace(options, extract_image=name)
    # It has them.
    return replace(options, load_image=name, requirements=None)


def _name_here(image: RecordedImage, store: ImageStore) -> str | None:
    """By which name the recorded image is found here, whatever its own name stands for now."""
    names = [image.id]
    if isinstance(store, SifStore):
        # Where it lay then, or by the same name among this user's images.
        names = [image.reference, os.fspath(store.named(Path(image.reference).name))]
    for name in names:
        with suppress(EngineRefused, ImageUnusable):
            details = store.find_image(name)
            if details is not None and details.image_id == image.id:
                return name
    return None


def _is_present(image: RecordedImage) -> bool:
    """Whether it is the image that is used anyway: made from the sources that are here."""
    built = [ImageSources.read(image.stage, variant).reference for variant in _VARIANTS]
    return image.reference in built or Path(image.reference).name in map(file_name, built)
