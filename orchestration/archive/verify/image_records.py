"""Whether the images in a bag are those that manifest.json tells of, down to their last layer."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestration.archive.image_layout import read_layout
from orchestration.archive.layout import IMAGES
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.verdicts import Fault
from orchestration.errors import ImageUnusable
from orchestration.recorded_run import RecordedRun

OCI_SUFFIX: Final = ".oci.tar"
SIF_SUFFIX: Final = ".sif"
_BLOBS: Final = "blobs/sha256/"
_PIECE_BYTES: Final = 1 << 20


def image_faults(content: BagContent, run: RecordedRun) -> Iterator[Fault]:
    """Each image that is another than the stage ran in, or whose layers are not what they are
    called.
    """
    for stage, image in sorted(run.images.items()):
        path = f"{IMAGES}/{stage}{SIF_SUFFIX}"
        if (found := content.files.get(path)) is not None:
            identity = f"sha256:{found.hex('sha256')}"
            if identity != image.id:
                yield _other(path, identity, image.id)
        path = f"{IMAGES}/{stage}{OCI_SUFFIX}"
        if path in content.files:
            yield from _layout_faults(content.folder / path, path, image.id)


def _layout_faults(file: Path, path: str, recorded: str) -> Iterator[Fault]:
    try:
        facts = read_layout(file)
        wrong = _damaged_blob(file)
    except ImageUnusable as error:
        yield Fault(path, "malformed", error.happened)
        return
    except (tarfile.TarError, OSError) as error:
        yield Fault(path, "malformed", f"it cannot be read as a tar file: {error}")
        return
    if recorded not in (facts.id, facts.manifest_digest):
        yield _other(path, facts.id, recorded)
    if wrong is not None:
        yield Fault(path, "contradicted", f"{wrong} in it has another hash than its name")


def _other(path: str, identity: str, recorded: str) -> Fault:
    return Fault(
        path, "contradicted", f"it is the image {identity}, and the stage ran in {recorded}"
    )


def _damaged_blob(file: Path) -> str | None:
    """The first part of an image that is not what its name says; None if all are."""
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.startswith(_BLOBS) else None
            if stream is not None:
                digest = hashlib.sha256()
                while piece := stream.read(_PIECE_BYTES):
                    digest.update(piece)
                if digest.hexdigest() != member.name.removeprefix(_BLOBS):
                    return member.name
    return None
