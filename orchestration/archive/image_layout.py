"""One image as one tar file: an OCI image layout that `docker load` of 20.10 reads, too.

Its bytes follow from the image and its name alone, whichever engine kept it: the configuration is
stored as it is, so the image keeps its id; each layer as it is, uncompressed, under its own hash.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final, cast

from orchestration.errors import ImageUnusable
from orchestration.strict_json import decode_json
from orchestration.tar_stream import (
    END,
    PIECE_BYTES,
    PieceReader,
    file_pieces,
    tar_folder,
    tar_member,
)

_DOCKER_LIST: Final = "manifest.json"
_OCI_LIST: Final = "index.json"
_OCI_TYPE: Final = "application/vnd.oci.image"
_CONFIG_TYPE: Final = f"{_OCI_TYPE}.config.v1+json"
_LAYER_TYPE: Final = f"{_OCI_TYPE}.layer.v1.tar"
_MANIFEST_TYPE: Final = f"{_OCI_TYPE}.manifest.v1+json"
_INDEX_TYPE: Final = f"{_OCI_TYPE}.index.v1+json"
_NAME_ANNOTATION: Final = "org.opencontainers.image.ref.name"
# Apptainer 1.4 makes none of its own accord.
_FOLDERS: Final = ("blobs", "blobs/sha256")
# Of the lists and the configuration; engines refuse more than 4 MiB.
_MOST_RECORD_BYTES: Final = 16 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True)
class LayoutFacts:
    """What an archive says of its image.

    Attributes:
        reference: name and tag, "" for none.
        id: "sha256:…" of the configuration, which says the hash of every layer.
        manifest_digest: "sha256:…" of the OCI manifest, the id for engines that keep those.
        labels: of the image.
    """

    reference: str
    id: str
    manifest_digest: str
    labels: Mapping[str, str]


def write_layout(saved: Iterable[bytes], reference: str, target: Path) -> str:
    """Write the image of an engine's archive as a layout, whole or not at all.

    Args:
        saved: the archive of one image in pieces, as `docker save` or `podman save` writes it.
        reference: name and tag that the image gets, "" for none.
        target: the file. Room for twice the image is needed beside it.

    Returns:
        SHA-256 of the file.

    Raises:
        ImageUnusable: a layer is missing or damaged.
        OSError: reading or writing failed.
    """
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        config, layers = _unpack(saved, Path(scratch))
        members = _members(config, layers, reference)
        partial = Path(scratch, "layout.tar")
        sha256 = write_pieces(_tar(members), partial)
        partial.replace(target)
    return sha256


def write_pieces(pieces: Iterable[bytes], path: Path, *, is_kept: bool = True) -> str:
    """Write a file, and see it on the disk if it is kept; returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        if is_kept:
            file.flush()
            os.fsync(file.fileno())
    return digest.hexdigest()


def read_layout(path: Path) -> LayoutFacts:
    """What an archive says of its image.

    Raises:
        ImageUnusable: it is damaged, or none that `write_layout` wrote.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            (listed,) = _json(tar, _DOCKER_LIST)
            (described,) = _json(tar, _OCI_LIST)["manifests"]
            config = _read(tar, listed["Config"])
        # Any part may be of any kind: a stranger may have written it.
        labels = dict((decode_json(config).get("config") or {}).get("Labels") or {})
        names = list(listed["RepoTags"] or [""])
        return LayoutFacts(str(names[0]), _digest(config), str(described["digest"]), labels)
    except (
        *(OSError, tarfile.TarError, EOFError),
        *(AttributeError, LookupError, TypeError, ValueError),
    ) as error:
        raise ImageUnusable(
            f"The archive of an image {path} cannot be read: {error}.",
            "An image was expected as `orchestrate.py archive` puts it away.",
            "Take the archive again from where it was put away.",
        ) from error


def layout_without_name(path: Path) -> Iterator[bytes]:
    """An archive in pieces, its image nameless: what has the name elsewhere keeps it."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                yield tar_folder(member.name)
            elif member.name == _DOCKER_LIST:
                nameless = [{**entry, "RepoTags": None} for entry in json.load(content)]
                yield from _bytes_member(member.name, _compact(nameless))
            elif member.name == _OCI_LIST:
                index = json.load(content)
                for entry in index["manifests"]:
                    entry.pop("annotations", None)
                yield from _bytes_member(member.name, _compact(index))
            else:
                yield from tar_member(member.name, member.size, _pieces(content))
    yield END


def _unpack(saved: Iterable[bytes], folder: Path) -> tuple[bytes, dict[str, Path]]:
    """Configuration of the image, and "sha256:…" -> file of each layer, from the first upwards."""
    digests: dict[str, str] = {}
    try:
        # tarfile reads alone, whatever its type says.
        source: Any = PieceReader(saved)
        with tarfile.open(fileobj=source, mode="r|", bufsize=PIECE_BYTES) as tar:
            for member in tar:
                if member.isfile():
                    content = tar.extractfile(member)
                    assert content is not None, "a regular file has a content"
                    digests[member.name] = _keep(content, folder)
        (listed,) = json.loads((folder / digests[_DOCKER_LIST]).read_bytes())
        config = (folder / digests[listed["Config"]]).read_bytes()
        wanted = [str(diff_id) for diff_id in json.loads(config)["rootfs"]["diff_ids"]]
    except (
        *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
        *(ValueError, KeyError, TypeError),
    ) as error:
        raise _unusable(f"cannot be read: {error}") from error
    layers = {diff_id: folder / diff_id for diff_id in wanted}
    missing = [diff_id for diff_id, path in layers.items() if not path.is_file()]
    if missing:
        raise _unusable(f"lacks {len(missing)} of its {len(wanted)} layers, such as {missing[0]}")
    return config, layers


def _keep(content: IO[bytes], folder: Path) -> str:
    """Put a file into the folder under its hash, uncompressed; returns that name."""
    partial = folder / "partial"
    sha256 = write_pieces(_pieces(_uncompressed(content)), partial, is_kept=False)
    name = f"sha256:{sha256}"
    partial.replace(folder / name)
    return name


def _uncompressed(content: IO[bytes]) -> IO[bytes]:
    """An engine that keeps layers as a registry has them saves them compressed."""
    assert isinstance(content, BufferedReader), "so says tarfile's documentation"
    if content.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=content))
    return content


def _members(config: bytes, layers: Mapping[str, Path], reference: str) -> dict[str, bytes | Path]:
    """Path inside the archive -> content."""
    manifest = _compact(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, _digest(config), len(config)),
            "layers": [
                _descriptor(_LAYER_TYPE, diff_id, path.stat().st_size)
                for diff_id, path in layers.items()
            ],
        }
    )
    described = _descriptor(_MANIFEST_TYPE, _digest(manifest), len(manifest))
    if reference:
        described["annotations"] = {_NAME_ANNOTATION: reference}
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [described]}
    listed = {
        "Config": _blob(_digest(config)),
        "RepoTags": [reference] if reference else None,
        "Layers": [_blob(diff_id) for diff_id in layers],
    }
    return {
        "oci-layout": _compact({"imageLayoutVersion": "1.0.0"}),
        _OCI_LIST: _compact(index),
        _DOCKER_LIST: _compact([listed]),
        _blob(_digest(manifest)): manifest,
        _blob(_digest(config)): config,
        **{_blob(diff_id): path for diff_id, path in layers.items()},
    }


def _tar(members: Mapping[str, bytes | Path]) -> Iterator[bytes]:
    yield from (tar_folder(name) for name in _FOLDERS)
    for name, content in sorted(members.items()):
        if isinstance(content, bytes):
            yield from _bytes_member(name, content)
        else:
            yield from tar_member(name, content.stat().st_size, file_pieces(content))
    yield END


def _bytes_member(name: str, content: bytes) -> Iterator[bytes]:
    return tar_member(name, len(content), [content])


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while piece := content.read(PIECE_BYTES):
        yield piece


def _descriptor(media_type: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _json(tar: tarfile.TarFile, name: str) -> Any:
    return decode_json(_read(tar, name))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    if member is None:
        raise KeyError(name)
    content = member.read(_MOST_RECORD_BYTES + 1)
    if len(content) > _MOST_RECORD_BYTES:
        raise ValueError(f"its {name:.80} has more than {_MOST_RECORD_BYTES:,} bytes")
    return content


def _unusable(said: str) -> ImageUnusable:
    return ImageUnusable(
        f"What the engine saved of an image {said}.",
        "The image's configuration and all layers that it names were expected, each with its hash.",
        "Look whether `docker save` or `podman save` works, and build the image again if not.",
    )
