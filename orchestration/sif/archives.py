"""Which images an archive holds: what `docker save` writes, or an OCI layout in a tar file."""

from __future__ import annotations

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.errors import ImageUnusable

_DOCKER_LIST, _OCI_LIST = "manifest.json", "index.json"
_NAME_ANNOTATION = "org.opencontainers.image.ref.name"
_DAMAGED = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)
# Of JSON that is something else than an engine writes.
_NOT_AS_EXPECTED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class ArchivedImage:
    """One image in an archive.

    Attributes:
        archive: the tar file.
        transport: "docker-archive" or "oci-archive", as Apptainer calls its form.
        selector: which of the archive's images, in Apptainer's terms; "" for the only one.
        labels: its labels.
    """

    archive: Path
    transport: str
    selector: str
    labels: Mapping[str, str]


def archived_images(archive: Path) -> list[ArchivedImage]:
    """The images of an archive.

    Raises:
        ImageUnusable: it is no archive of images, damaged, or one that Apptainer cannot read.
    """
    try:
        with tarfile.open(archive) as tar:
            return list(_images(archive, tar))
    except (*_DAMAGED, *_NOT_AS_EXPECTED) as error:
        raise ImageUnusable(
            f"The archive {archive} cannot be read: {error}.",
            "What `docker save` or `podman save` writes was expected, plain or as an OCI archive.",
            "Save the images again: `docker save --output extract.tar NAME:TAG`.",
        ) from error


def _images(archive: Path, tar: tarfile.TarFile) -> Iterator[ArchivedImage]:
    # Later engines write both lists; the older one says more of names.
    if _DOCKER_LIST in tar.getnames():
        entries = _json(tar, _DOCKER_LIST)
        # Apptainer takes what follows a colon for a part of the path, and asks for a single image.
        if len(entries) != 1:
            raise ImageUnusable(
                f"The archive {archive} holds {len(entries)} images.",
                "Apptainer reads archives of one image.",
                "Save each image by itself, `docker save --output extract.tar NAME:TAG`, and pass"
                " --from-archive once for each.",
            )
        yield ArchivedImage(archive, "docker-archive", "", _labels(tar, entries[0]["Config"]))
        return
    manifests = _json(tar, _OCI_LIST)["manifests"]
    for entry in manifests:
        manifest = _json(tar, _blob(entry["digest"]))
        name = (entry.get("annotations") or {}).get(_NAME_ANNOTATION, "")
        selector = "" if len(manifests) == 1 else name
        config = _blob(manifest["config"]["digest"])
        yield ArchivedImage(archive, "oci-archive", selector, _labels(tar, config))


def _labels(tar: tarfile.TarFile, config: str) -> dict[str, str]:
    return dict((_json(tar, config).get("config") or {}).get("Labels") or {})


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def _json(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
    if member is None:
        raise KeyError(name)
    return json.loads(member.read())
