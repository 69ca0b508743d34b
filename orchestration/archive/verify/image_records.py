"""Whether the images in a bag are those that manifest.json tells of, down to their last layer."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestration.archive.image_layout import read_layout
from orchestration.archive.layout import IMAGES, OCI_SUFFIX, SIF_SUFFIX
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.verdicts import Fault
from orchestration.errors import ImageUnusable
from orchestration.recorded_run import RecordedRun
from orchestration.strict_json import decode_json

_BLOBS: Final = "blobs/sha256/"
_DIGEST: Final = "sha256:"
_PIECE_BYTES: Final = 1 << 20


def image_faults(content: BagContent, run: RecordedRun) -> Iterator[Fault]:
    """Each image that is another than the stage ran in, or whose layers are not what they are
    called.
    """
    for stage, image in sorted(run.images.items()):
        path = f"{IMAGES}/{stage}{SIF_SUFFIX}"
        if (found := content.files.get(path)) is not None:
            identity = f"{_DIGEST}{found.hex('sha256')}"
            if identity != image.id:
                yield _other(path, identity, image.id)
        path = f"{IMAGES}/{stage}{OCI_SUFFIX}"
        if path in content.files:
            yield from _layout_faults(content.folder / path, path, image.id)


def _layout_faults(file: Path, path: str, recorded: str) -> Iterator[Fault]:
    try:
        facts = read_layout(file)
        wrong = list(_damaged_parts(file, facts.id.removeprefix(_DIGEST)))
    except ImageUnusable as error:
        yield Fault(path, "malformed", error.happened)
        return
    except (tarfile.TarError, OSError, ValueError) as error:
        yield Fault(path, "malformed", f"it is no image: {error}")
        return
    if recorded not in (facts.id, facts.manifest_digest):
        yield _other(path, facts.id, recorded)
    yield from (Fault(path, "contradicted", told) for told in wrong)


def _other(path: str, identity: str, recorded: str) -> Fault:
    return Fault(
        path, "contradicted", f"it is the image {identity}, and the stage ran in {recorded}"
    )


def _damaged_parts(file: Path, identity: str) -> Iterator[str]:
    """What of an image is not what its name says, or is not there.

    Args:
        file: an OCI image layout, its layers as they are.
        identity: hash of its configuration, which has those of its layers.

    Raises:
        tarfile.TarError, OSError: it is no tar file.
        ValueError: the configuration is none.
    """
    found: set[str] = set()
    configuration = b""
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.startswith(_BLOBS) else None
            if stream is None:
                continue
            name = member.name.removeprefix(_BLOBS)
            found.add(name)
            digest = hashlib.sha256()
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
                configuration = piece if name == identity else configuration
            if digest.hexdigest() != name:
                yield f"{member.name} in it has another hash than its name"
    try:
        layers = [str(layer) for layer in decode_json(configuration)["rootfs"]["diff_ids"]]
    except (LookupError, TypeError) as error:
        raise ValueError("its configuration tells of no layers") from error
    for layer in layers:
        if layer.removeprefix(_DIGEST) not in found:
            yield f"its layer {layer} is not in it"
