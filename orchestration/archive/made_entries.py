"""Files that are made for a bag: the images as archives, the packages in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from orchestration.archive import layout
from orchestration.archive.entries import Entry
from orchestration.archive.image_archives import save_image
from orchestration.collecting import collect, needs_collecting, wanted_packages
from orchestration.errors import NotArchivable
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.runtimes.base import Notify, Stage
from orchestration.settings import CPU_TORCH_INDEX, ImageRuntimeName

_DIGEST_PREFIX = "sha256:"


def image_entries(
    run: RecordedRun, scratch: Path, environment: Mapping[str, str], notify: Notify
) -> list[Entry]:
    """Put the images away that the result was made in.

    Args:
        run: the result.
        scratch: an empty folder for their archives; they become the bag's own.
        environment: the caller's.
        notify: told which image it is.

    Raises:
        NotArchivable: the result was made without images.
        ImageMissing, ImageUnusable, EngineNotInstalled and so on: an image is not to be had.
    """
    runtime = next((one for one in get_args(ImageRuntimeName) if one == _runtime(run)), None)
    if runtime is None or not run.images:
        raise NotArchivable(
            f"{run.folder} was made by the runtime {_runtime(run)}, without images.",
            "With --with-images, a result was expected that docker, podman or apptainer made.",
            "Leave --with-images out, and add --with-wheelhouse: the environments can be made"
            " again from it; or convert again in containers.",
        )
    entries = []
    for stage, image in _different(run).items():
        notify(f"Putting away the {stage} image, {image.reference}")
        entries.append(_image_entry(runtime, stage, image, scratch, environment))
    return entries


def wheelhouse_entries(
    run: RecordedRun, folder: Path, environment: Mapping[str, str], notify: Notify
) -> list[Entry]:
    """Packages of both images, or environments, and of the host side.

    Args:
        run: the result, which tells of which build of torch.
        folder: has the packages; where it is missing or empty, they are collected into it.
        environment: the caller's.
        notify: told how far that is.

    Raises:
        WheelhouseIncomplete: packages cannot be had.
    """
    if needs_collecting(folder):
        notify(f"Collecting the packages of both images and of the host side into {folder}")
        packages = wanted_packages(run.runtime.torch_variant)
        collect(folder, packages, CPU_TORCH_INDEX, notify, environment)
    below = layout.below_payload(layout.WHEELHOUSE)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        Entry(
            f"{below}/{path.relative_to(folder).as_posix()}",
            path,
            path.stat().st_size,
            may_link=True,
        )
        for path in paths
    ]


def _runtime(run: RecordedRun) -> str:
    return str(run.manifest["runtime"])


def _different(run: RecordedRun) -> dict[Stage, RecordedImage]:
    """The images without one that another stage ran in, too."""
    load = run.images.get("load")
    return {
        stage: image
        for stage, image in sorted(run.images.items())
        if stage == "load" or load is None or image.id != load.id
    }


def _image_entry(
    runtime: ImageRuntimeName,
    stage: Stage,
    image: RecordedImage,
    scratch: Path,
    environment: Mapping[str, str],
) -> Entry:
    folder = layout.below_payload(layout.IMAGES)
    sif = Path(image.reference)
    if runtime == "apptainer" and sif.is_file():
        # What it is called is the hash of the file.
        sha256 = image.id.removeprefix(_DIGEST_PREFIX)
        name = f"{folder}/{stage}{layout.SIF_SUFFIX}"
        return Entry(name, sif, sif.stat().st_size, may_link=True, sha256=sha256)
    suffix = layout.SIF_SUFFIX if runtime == "apptainer" else layout.OCI_SUFFIX
    path = scratch / f"{stage}{suffix}"
    saved = save_image(
        runtime,
        image.reference if runtime == "apptainer" else image.id,
        path,
        name=None if runtime == "apptainer" else image.reference,
        environment=environment,
    )
    if saved.id != image.id:
        raise NotArchivable(
            f"{image.reference} is {saved.id} now.",
            f"The image {image.id} was expected, in which the result was made.",
            "Bring that image back, or convert again in the one that there is now.",
        )
    name = f"{folder}/{path.name}"
    return Entry(name, path, saved.size_bytes, may_link=True, sha256=saved.sha256)
