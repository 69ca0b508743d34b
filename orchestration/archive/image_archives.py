"""Images put away as files, and brought back: through Docker, Podman or Apptainer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestration.archive.image_layout import (
    LayoutFacts,
    layout_without_name,
    read_layout,
    write_layout,
    write_pieces,
)
from orchestration.archive.layout import SIF_SUFFIX
from orchestration.engine_access import open_engine
from orchestration.errors import FeatureUnavailable, ImageMissing, ImageUnusable
from orchestration.image_store import ImageDetails, ImageSource
from orchestration.images import CONTENT_LABEL
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Notify
from orchestration.settings import ImageRuntimeName
from orchestration.sif.archives import archived_images
from orchestration.sif.build import build_folder
from orchestration.sif.convert import make_image
from orchestration.sif.program import find_program
from orchestration.sif.store import SifStore
from orchestration.tar_stream import file_pieces

APPTAINER: Final = "apptainer"


@dataclass(frozen=True)
class ImageArchive:
    """An image in a file.

    Attributes:
        reference: name and tag in the archive, "" for none; of a SIF file the path it had.
        id: "sha256:…" as the runtime calls it: of the configuration, or of the SIF file.
        sha256: of the file, in hexadecimal.
        size_bytes: of the file.
    """

    reference: str
    id: str
    sha256: str
    size_bytes: int


def save_image(
    runtime: ImageRuntimeName,
    reference_or_id: str,
    path: Path,
    *,
    name: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ImageArchive:
    """Put an image away as a file, which appears whole or not at all.

    The same image gives the same bytes, from Docker and from Podman. Nothing large is held in
    memory; room for twice the image is needed beside `path`.

    Args:
        runtime: who has the image.
        reference_or_id: which one; for Apptainer a name or the path of a SIF file, which is copied.
        path: the file to write: an OCI image layout in a tar file, or a SIF file.
        name: name and tag that an image gets in its archive; None = `reference_or_id` if that is
            one of its names, else the first of these.
        environment: the caller's.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: the runtime is not usable.
        ImageMissing: it has no such image.
        EngineRefused, ImageUnusable: it does not give it away, or not whole.
        OSError: the file cannot be written.
    """
    if runtime == APPTAINER:
        return _copy_sif(reference_or_id, path, environment)
    engine = _open(runtime, environment)
    try:
        details = engine.find_image(reference_or_id)
        if details is None:
            raise _missing(engine.program, reference_or_id)
        reference = name or _name(reference_or_id, details)
        sha256 = write_layout(engine.save_image(details.image_id), reference, path)
    finally:
        engine.close()
    return ImageArchive(reference, details.image_id, sha256, path.stat().st_size)


def restore_image(
    runtime: ImageRuntimeName,
    path: Path,
    *,
    with_name: bool = True,
    environment: Mapping[str, str] = os.environ,
    notify: Notify = lambda line: None,
) -> str:
    """Give a runtime an image that was put away.

    An image that it has already is left as it is, and so is another one of the same name: then
    the restored one has no name. Apptainer makes a file in the user's cache folder of an archive.

    Args:
        runtime: who is to have it.
        path: what `save_image` wrote.
        with_name: under the name that it had. A stranger's image could have the name of one that
            is to be built here, and would be run in its place.
        environment: the caller's.
        notify: takes what the runtime says, line by line.

    Returns:
        What `--image-extract` and `--image-load` take: its id; of Apptainer's, the path of a file.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: the runtime is not usable.
        FeatureUnavailable: it is a SIF file, and the runtime is not Apptainer.
        ImageUnusable: the file is damaged, or the runtime makes something else of it.
        EngineRefused, ImageBuildFailed: the runtime does not take it.
    """
    if path.suffix == SIF_SUFFIX:
        return _own_sif(runtime, path)
    facts = read_layout(path)
    if runtime == APPTAINER:
        return _make_sif(facts, path, environment, notify)
    engine = _open(runtime, environment)
    try:
        return _load(engine, facts, path, with_name, notify)
    finally:
        engine.close()


def _open(runtime: ImageRuntimeName, environment: Mapping[str, str]) -> ImageSource:
    return PodmanEngine(PodmanCommand(environment)) if runtime == "podman" else open_engine()


def _name(reference_or_id: str, details: ImageDetails) -> str:
    is_name = reference_or_id in details.tags
    return reference_or_id if is_name else min(details.tags, default="")


def _missing(program: str, reference: str) -> ImageMissing:
    return ImageMissing(
        f"{program} has no image {reference}.",
        "The image was expected that the result was made with.",
        f"Look at `{program} image ls`; where it is gone, archive without --with-images.",
    )


def _load(
    engine: ImageSource, facts: LayoutFacts, path: Path, with_name: bool, notify: Notify
) -> str:
    details = _find(engine, facts)
    if details is None:
        is_taken = facts.reference and engine.find_image(facts.reference) is not None
        is_nameless = is_taken or not with_name
        pieces = layout_without_name(path) if is_nameless else file_pieces(path)
        for line in engine.load_images(pieces):
            notify(line)
        details = _find(engine, facts)
    if details is None:
        raise ImageUnusable(
            f"{engine.program} has no image {facts.id} after {path} was loaded.",
            "The image was expected to keep its id.",
            f"Look at `{engine.program} image ls`, or use another --runtime.",
        )
    return details.image_id


def _find(engine: ImageSource, facts: LayoutFacts) -> ImageDetails | None:
    # Engines with containerd's store call an image by its manifest.
    return engine.find_image(facts.id) or engine.find_image(facts.manifest_digest)


def _own_sif(runtime: ImageRuntimeName, path: Path) -> str:
    """A SIF file is used where it lies. Raises FeatureUnavailable."""
    if runtime != APPTAINER:
        raise FeatureUnavailable(
            f"{path.name} is an image of Apptainer's, and the runtime is {runtime}.",
            "An image that this runtime reads was expected.",
            "Use `--runtime apptainer`, or archive a result that Docker or Podman made.",
        )
    return os.fspath(path.absolute())


def _copy_sif(reference: str, path: Path, environment: Mapping[str, str]) -> ImageArchive:
    store = SifStore(find_program(environment), environment)
    source = store.path(reference)
    if not source.is_file():
        raise _missing(APPTAINER, reference)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        sha256 = write_pieces(file_pieces(source), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return ImageArchive(os.fspath(source), f"sha256:{sha256}", sha256, path.stat().st_size)


def _make_sif(
    facts: LayoutFacts,
    path: Path,
    environment: Mapping[str, str],
    notify: Notify,
) -> str:
    program = find_program(environment)
    store = SifStore(program, environment)
    # Apart from images by their sources' names: others than the one in the archive may have those.
    name = f"{PROJECT}-restored-{facts.id.replace(':', '-')}{SIF_SUFFIX}"
    target = store.folder.absolute() / name
    if store.find_image(os.fspath(target)) is None:
        (image,) = archived_images(path)
        with build_folder(environment) as scratch:
            link = scratch / "image.tar"
            link.symlink_to(path.absolute())
            make_image(
                program,
                f"{image.transport}:{link.name}",
                target,
                facts.labels.get(CONTENT_LABEL),
                folder=scratch,
                environment=environment,
                notify=notify,
            )
    return os.fspath(target)
