"""Both stages' images as SIF files: from a Docker engine, from archives, or without either."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestration.engine_access import open_engine
from orchestration.errors import (
    EngineForbidden,
    EngineNotInstalled,
    EngineNotRunning,
    FeatureUnavailable,
    ImageMissing,
)
from orchestration.image_sources import ImageSources
from orchestration.images import (
    CONTENT_LABEL,
    BuiltImage,
    build_images,
    stages_that_run,
)
from orchestration.runtimes.apptainer_scratch import scratch_parent
from orchestration.settings import BuildSettings
from orchestration.sif.archives import ArchivedImage, archived_images
from orchestration.sif.convert import make_image
from orchestration.sif.program import Program, find_program
from orchestration.sif.recipe import prepare_recipe
from orchestration.sif.store import SifStore, file_name

Origin = Callable[[ImageSources, Path], str]
"""Puts what a build needs into its folder, and says what Apptainer is to build from."""


def build_sifs(
    settings: BuildSettings,
    notify: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> list[BuiltImage]:
    """Make the SIF files of the stages asked for.

    One that is there already, made from the same sources, is left as it is.

    Args:
        settings: what to build and from what.
        notify: takes what Apptainer says, line by line.
        environment: the caller's.

    Raises:
        EngineNotInstalled: there is no Apptainer.
        FeatureUnavailable: packages of the user's own were asked for, too.
        ImageMissing: no archive holds an image that is made from the present sources.
        ImageBuildFailed: a base image is missing, the wheelhouse incomplete, or a step failed.
        FuseUnusable, NamespacesMissing, ScratchTooSmall: the machine lacks what it needs.
    """
    _check(settings)
    program = find_program(environment)
    store = SifStore(program, environment)
    stages = stages_that_run(store, settings.stages, notify)
    origin: Origin | None = None
    built = []
    for stage in stages:
        sources = ImageSources.read(stage, settings.torch_variant)
        reference = sources.reference
        # Apptainer is run in another folder.
        folder = (settings.sif_folder or store.folder).absolute()
        target = folder / file_name(reference)
        if not settings.no_cache and _is_made(store, target, sources):
            notify(f"{target} is there already, made from the same sources")
        else:
            origin = origin or _choose_origin(settings, notify, environment)
            _make(program, origin, sources, target, notify, environment)
        details = store.find_image(os.fspath(target))
        assert details is not None, "it was made or found just now"
        built.append(BuiltImage(stage, os.fspath(target), details.image_id, details.size_bytes))
    return built


def _check(settings: BuildSettings) -> None:
    if settings.requirements is not None:
        raise FeatureUnavailable(
            "--requirements was given, and Apptainer has no layers to add packages to.",
            "An image that holds them already was expected.",
            "Build it with Docker or Podman elsewhere, save it, make a SIF file of it with"
            " `apptainer build own.sif docker-archive:own.tar`, and pass `--image-load own.sif`.",
        )


def _is_made(store: SifStore, target: Path, sources: ImageSources) -> bool:
    details = store.find_image(os.fspath(target))
    return details is not None and details.labels.get(CONTENT_LABEL) == sources.content_hash()


def _make(
    program: Program,
    origin: Origin,
    sources: ImageSources,
    target: Path,
    notify: Callable[[str], None],
    environment: Mapping[str, str],
) -> None:
    with build_folder(environment) as folder:
        start = origin(sources, folder)
        notify(f"Making {target} from {start}")
        content = sources.content_hash()
        make_image(
            program,
            start,
            target,
            content,
            folder=folder,
            environment=environment,
            notify=notify,
        )


@contextmanager
def build_folder(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where a build finds its files by short names: no path of a user's must fit its syntax."""
    parent = scratch_parent(environment)
    with tempfile.TemporaryDirectory(prefix="tf1-to-torch-build-", dir=parent) as folder:
        yield Path(folder)


def _choose_origin(
    settings: BuildSettings, notify: Callable[[str], None], environment: Mapping[str, str]
) -> Origin:
    """Archives if there are any, else the Docker engine, else a recipe of Apptainer's own."""
    if settings.from_archives:
        found = [image for path in settings.from_archives for image in archived_images(path)]
        return lambda sources, folder: _from_archive(found, sources, folder)
    try:
        open_engine().close()
    except (EngineNotInstalled, EngineNotRunning, EngineForbidden) as error:
        notify(f"Building without a Docker engine ({error.happened.rstrip('.')})")
        return lambda sources, folder: prepare_recipe(sources, settings, folder, environment)
    # Those that are there are left as they are.
    build_images(replace(settings, runtime="docker", no_cache=False), notify)
    return lambda sources, folder: f"docker-daemon:{sources.reference}"


def _from_archive(found: list[ArchivedImage], sources: ImageSources, folder: Path) -> str:
    content = sources.content_hash()
    for image in found:
        if image.labels.get(CONTENT_LABEL) == content:
            link = folder / "images.tar"
            link.symlink_to(image.archive)
            selector = f":{image.selector}" if image.selector else ""
            return f"{image.transport}:{link.name}{selector}"
    titles = [str(image.labels.get("org.opencontainers.image.title")) for image in found]
    raise ImageMissing(
        f"No archive holds an image {sources.reference}, only {len(found)} others"
        f" ({', '.join(titles) or 'none'}).",
        "One that is made from the present sources was expected.",
        f"Where they are built from the same checkout: `docker save --output images.tar"
        f" {sources.reference}`.",
    )
