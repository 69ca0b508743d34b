"""Both stages' images: find them, build them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.engine_access import open_engine
from orchestration.errors import FeatureUnavailable, ImageBuildFailed, ImageMissing
from orchestration.image_records import record_image
from orchestration.image_sources import REPOSITORIES, SOURCE_DATE, ImageSources
from orchestration.own_images import ExtendedSources
from orchestration.package_sources import (
    PackageSources,
    from_pip_settings,
    from_wheelhouse,
    sources_of_own,
)
from orchestration.pip_settings import PipSettings
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.processor import why_no_tensorflow
from orchestration.runtimes.base import Stage
from orchestration.settings import BuildSettings, ImageRuntimeName, TorchVariant

if TYPE_CHECKING:
    from orchestration.image_store import ImageDetails, ImageStore

BUILD_COMMAND = "python orchestrate.py build"
DOCKER = "docker"
CONTENT_LABEL = "tf1-to-torch.content"
BASE_ID_LABEL = "tf1-to-torch.base"
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"
BASE_NAME_LABEL = "org.opencontainers.image.base.name"


@dataclass(frozen=True)
class BuiltImage:
    """An image that `build_images` made.

    Attributes:
        stage: which stage's.
        name: name and tag.
        digest: of the image's configuration, "sha256:…".
        size_bytes: of an engine's image unpacked, base image included; of a SIF file its own.
    """

    stage: Stage
    name: str
    digest: str
    size_bytes: int


def find_image(
    engine: ImageStore, stage: Stage, variants: Sequence[TorchVariant] = ("cpu",)
) -> tuple[ImageSources, ImageDetails]:
    """The image of a stage that holds the present sources, of the first variant that has one.

    Raises:
        ImageMissing: none has been built. Nothing is built or pulled here.
    """
    candidates = [ImageSources.read(stage, variant) for variant in variants]
    for sources in candidates:
        details = engine.find_image(sources.reference)
        if details is not None:
            return sources, details
    older = [tag for image in engine.list_images(REPOSITORIES[stage]) for tag in image.tags]
    found = f"only {older[0]}, made from other sources" if older else "and no older one either"
    command = build_command(stage, variants[0], engine.program)
    elsewhere = "name files made elsewhere by --image-extract and --image-load"
    instead = elsewhere if engine.program == "apptainer" else "pass `--runtime local`"
    raise ImageMissing(
        f"There is no image {candidates[0].reference} ({found}).",
        "Images are built in a step of their own, never in the middle of a run.",
        f"Run `{command}`, or {instead}.",
    )


def build_command(stage: Stage, variant: TorchVariant, program: str = DOCKER) -> str:
    """The command that builds an image, for whoever keeps images by that name."""
    torch = " --torch cuda" if (stage, variant) == ("load", "cuda") else ""
    runtime = "" if program == DOCKER else f" --runtime {program}"
    return f"{BUILD_COMMAND}{runtime}{torch}"


def open_store(
    runtime: ImageRuntimeName, environment: Mapping[str, str] = os.environ
) -> ImageStore:
    """Whoever keeps the images of a runtime.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: it is not usable.
    """
    return open_engine() if runtime == DOCKER else PodmanEngine(PodmanCommand(environment))


def build_images(settings: BuildSettings, notify: Callable[[str], None]) -> list[BuiltImage]:
    """Build the images of the stages asked for, and record their digests.

    One that is there already, from the same sources and the same base image, is left as it is
    unless every layer is to be built anew.

    Args:
        settings: what to build and from what.
        notify: takes the build log, line by line.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: the engine is not usable.
        FeatureUnavailable: nothing but stage 1's image was asked for, which cannot run there.
        ImageBuildFailed: a base image is missing, the wheelhouse incomplete, or a step failed.
    """
    engine = open_store(settings.runtime)
    try:
        stages = stages_that_run(engine, settings.stages, notify)
        built = [_build_one(engine, stage, settings, notify) for stage in stages]
        if settings.requirements is not None:
            built.append(_build_extended(engine, settings.requirements, settings, notify))
        return built
    finally:
        engine.close()


def build_arguments(
    sources: ImageSources,
    base_name: str,
    base: ImageDetails,
    packages: PackageSources,
    no_cache: bool,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Arguments of the SDK's low-level `build`, the context apart.

    Args:
        sources: of the image.
        base_name: what the base image is called.
        base: the base image; it is taken by its id, whatever has its name by then.
        packages: where they come from.
        no_cache: build every layer anew.
        environment: the caller's, which may fix the time of every file.
    """
    arguments = {
        **packages.arguments,
        "BASE_IMAGE": base.image_id,
        "BASE_NAME": base_name,
        "BASE_DIGEST": base.digest_of(base_name),
        "CONTENT": sources.content_hash(),
    }
    if environment.get(SOURCE_DATE):
        arguments[SOURCE_DATE] = environment[SOURCE_DATE]
    if sources.torch_variant:
        arguments["TORCH"] = sources.torch_variant
    return {
        "tag": sources.reference,
        "dockerfile": sources.dockerfile,
        "buildargs": arguments,
        "network_mode": "none" if packages.offline else None,
        "nocache": no_cache,
        # The base image is fetched before, where it is said, or not at all.
        "pull": False,
        "rm": True,
        "forcerm": True,
    }


def stages_that_run(
    engine: ImageStore, stages: Sequence[Stage], notify: Callable[[str], None]
) -> Sequence[Stage]:
    """The stages without the first one where TensorFlow was not built for the engine's machine."""
    missing = why_no_tensorflow(str(engine.info()["Architecture"]), None)
    if missing is None or "extract" not in stages:
        return stages
    if len(stages) == 1:
        raise FeatureUnavailable(
            f"Stage 1's image cannot be made here ({missing}).",
            "An engine on an x86_64 machine was expected.",
            "Build the load image alone (--stage load): in it, `--reader pure` reads checkpoints.",
        )
    notify(f"Only the load image is built ({missing}); in it, `--reader pure` reads checkpoints")
    return [stage for stage in stages if stage != "extract"]


def _build_one(
    engine: ImageStore, stage: Stage, settings: BuildSettings, notify: Callable[[str], None]
) -> BuiltImage:
    sources = ImageSources.read(stage, settings.torch_variant)
    base_image = settings.extract_base_image if stage == "extract" else settings.load_base_image
    base = _base_image(engine, base_image, settings, notify)
    details = engine.find_image(sources.reference)
    if details is None or settings.no_cache or not _is_built(details, sources, base):
        packages = find_packages(sources, settings)
        details = _run_build(engine, sources, base_image, base, packages, settings, notify)
    else:
        notify(f"{sources.reference} is there already, made from the same sources")
    record_image(sources.reference, details, base_image, base.digest_of(base_image), engine)
    return BuiltImage(stage, sources.reference, details.image_id, details.size_bytes)


def _build_extended(
    engine: ImageStore, requirements: Path, settings: BuildSettings, notify: Callable[[str], None]
) -> BuiltImage:
    """Build the load image with a user's packages.

    With a wheelhouse the engine decides, by its own cache, whether anything in it has changed.
    """
    base_sources, base = find_image(engine, "load", (settings.torch_variant,))
    sources = ExtendedSources.of(base_sources, base.image_id, requirements)
    details = engine.find_image(sources.reference)
    anew = settings.no_cache or settings.wheelhouse is not None
    if details is None or anew or not _is_built(details, sources, base):
        lock = base_sources.files[base_sources.lock].decode()
        pip = PipSettings.read(os.environ, Path.home())
        packages = sources_of_own(lock, settings.wheelhouse, pip, os.environ)
        details = _run_build(
            engine, sources, base_sources.reference, base, packages, settings, notify
        )
    else:
        notify(f"{sources.reference} is there already, with the packages of {requirements}")
    record_image(sources.reference, details, base_sources.reference, base.image_id, engine)
    return BuiltImage("load", sources.reference, details.image_id, details.size_bytes)


def _run_build(
    engine: ImageStore,
    sources: ImageSources,
    base_image: str,
    base: ImageDetails,
    packages: PackageSources,
    settings: BuildSettings,
    notify: Callable[[str], None],
) -> ImageDetails:
    arguments = build_arguments(sources, base_image, base, packages, settings.no_cache)
    notify(f"Building {sources.reference} from {base_image}")
    for line in engine.build_image(sources.context(packages.files), arguments):
        notify(line)
    details = engine.find_image(sources.reference)
    if details is None or not _is_built(details, sources, base):
        raise ImageBuildFailed(
            f"The build ended well, and {sources.reference} is not there.",
            "The engine was expected to keep what it built under that name.",
            f"Look at `{engine.program} image ls`, and build again.",
        )
    return details


def find_packages(sources: ImageSources, settings: BuildSettings) -> PackageSources:
    """Where the packages of a stage's image come from.

    Raises:
        ImageBuildFailed: the wheelhouse is missing or lacks packages.
    """
    lock = sources.files[sources.lock].decode()
    if settings.wheelhouse is not None:
        return from_wheelhouse(lock, settings.wheelhouse)
    pip = PipSettings.read(os.environ, Path.home())
    index = settings.torch_index
    return from_pip_settings(lock, sources.torch_variant, index, pip, os.environ)


def _is_built(details: ImageDetails, sources: ImageSources, base: ImageDetails) -> bool:
    labels = details.labels
    return (
        labels.get(CONTENT_LABEL) == sources.content_hash()
        and labels.get(BASE_ID_LABEL) == base.image_id
    )


def _base_image(
    engine: ImageStore, name: str, settings: BuildSettings, notify: Callable[[str], None]
) -> ImageDetails:
    details = engine.find_image(name)
    if details is None and settings.wheelhouse is None:
        notify(f"Fetching the base image {name}, which is not on this machine")
        for line in engine.pull_image(name):
            notify(line)
        details = engine.find_image(name)
    if details is None:
        raise ImageBuildFailed(
            f"The base image {name} is not on this machine.",
            "With a wheelhouse nothing is fetched, so it was expected to be there already.",
            f"Run `{engine.program} pull {name}` (or `save` it elsewhere and"
            f" `{engine.program} load` it here), or name another base image.",
        )
    return details
