"""Which image each stage runs in, for every runtime that keeps images by name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from orchestration.image_store import ImageDetails, ImageStore
from orchestration.images import BASE_DIGEST_LABEL, BASE_NAME_LABEL, find_image
from orchestration.own_images import (
    TITLES,
    check_own_image,
    find_extended_image,
    find_own_image,
)
from orchestration.runtimes.base import Notify, Stage, StageProcess, StageSpec
from orchestration.settings import RuntimeOptions, TorchVariant

# What an image tells of the one that it was made from (OCI image specification, annotations).
_BASE_LABELS = {"name": BASE_NAME_LABEL, "digest": BASE_DIGEST_LABEL}


@dataclass(frozen=True)
class StageImages:
    """What was found.

    Attributes:
        images: stage -> name and details of its image.
        gpu: the load stage can use the machine's graphics cards.
    """

    images: dict[Stage, tuple[str, ImageDetails]]
    gpu: bool


def find_stage_images(
    store: ImageStore,
    stages: Collection[Stage],
    options: RuntimeOptions,
    gpu: bool,
    notify: Notify,
) -> StageImages:
    """Find the images of stages. Nothing is built or pulled.

    Args:
        store: where.
        stages: which ones.
        options: how the stages are to be run.
        gpu: there is one to be used.
        notify: is told when the GPU cannot be used after all.

    Raises:
        ImageMissing: an image has not been built from the present sources.
        ImageUnusable: the user's own image is not on this machine.
    """
    images = {}
    for stage in stages:
        own = own_image(options, stage)
        if own is not None:
            images[stage] = find_own_image(store, stage, own)
            continue
        variants = torch_variants(options.device, gpu, options.torch_variant)
        sources, details = find_image(store, stage, variants)
        images[stage] = (sources.reference, details)
        if stage == "load" and options.requirements is not None:
            images[stage] = find_extended_image(store, sources, details, options.requirements)
        if stage == "load" and gpu and sources.torch_variant == "cpu":
            notify("There is a GPU, but only the image with CPU torch has been built")
            gpu = False
    return StageImages(images, gpu)


def image_record(home: Stage, reference: str, details: ImageDetails, engine: str) -> dict[str, Any]:
    """What the manifest tells of the image that a stage runs in.

    Args:
        home: whose image it is.
        reference: its name.
        details: of it.
        engine: program and version that runs it.
    """
    labels = dict(details.labels)
    base = {key: labels[label] for key, label in _BASE_LABELS.items() if label in labels}
    image = {"stage": home, "reference": reference, "id": details.image_id}
    return {
        "image": {**image, "base": base, "labels": labels},
        "engine": engine,
        "environment": None,
    }


def check_own_images(
    stages: Collection[Stage],
    options: RuntimeOptions,
    start: Callable[[StageSpec, Notify], StageProcess],
    notify: Notify,
) -> None:
    """Start each stage that has an image of the user's own in it, once, and say what it holds.

    Raises:
        ImageUnusable: what starts there is not the stage.
    """
    for stage in stages:
        own = own_image(options, stage)
        if own is not None:
            versions = check_own_image(stage, own, start).get("versions", {})
            library = "tensorflow" if stage == "extract" else "torch"
            notify(f"{TITLES[stage]} runs in {own}, with {library} {versions.get(library)}")


def own_image(options: RuntimeOptions, stage: Stage) -> str | None:
    """The image that the user names for a stage."""
    return options.extract_image if stage == "extract" else options.load_image


def torch_variants(device: str, gpu: bool, asked_for: TorchVariant) -> tuple[TorchVariant, ...]:
    """Variants of the load image that will do, best first.

    Args:
        device: as given to `--device`.
        gpu: there is one to be used.
        asked_for: as given to `--torch`; "cpu" is its default, and rules nothing out.
    """
    if device.startswith("cuda") or asked_for == "cuda":
        return ("cuda",)
    return ("cuda", "cpu") if gpu else ("cpu", "cuda")
