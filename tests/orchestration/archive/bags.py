"""Bags made by the reference implementation of BagIt, not by this program's own writer."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import bagit
import zstandard

SIGNATURE = "tagmanifest-sha512.txt.sig"
Members = list[tuple[tarfile.TarInfo, bytes]]


def make_bag(folder: Path, payload: Mapping[str, bytes]) -> Path:
    """A bag with these files below data/."""
    for name, content in payload.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "bagit.txt").write_text(
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", encoding="ascii"
    )
    (folder / "bag-info.txt").write_text("Bagging-Date: 2026-11-26\n", encoding="ascii")
    (folder / "README.md").write_text("What this is.\n", encoding="ascii")
    for algorithm in ("sha256", "sha512"):
        (folder / f"manifest-{algorithm}.txt").touch()
    renew_lists(folder)
    return folder


def renew_lists(folder: Path) -> None:
    """Let the bag's own lists say what lies there now: as whoever tampers with it would."""
    signature = folder / SIGNATURE
    kept = signature.read_bytes() if signature.exists() else None
    signature.unlink(missing_ok=True)
    bagit.Bag(str(folder)).save(manifests=True)
    if kept is not None:
        signature.write_bytes(kept)


def members_of(folder: Path) -> Members:
    """The files of a bag as members of a tar file, sorted."""
    found: Members = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.append(file_member(f"{folder.name}/{path.relative_to(folder)}", path.read_bytes()))
    return found


def file_member(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """A plain file of a tar file."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header, content


def other_member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A link, a device or the like."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header, b""


def write_stream(path: Path, members: Members) -> Path:
    """A .tar.zst of these members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    path.write_bytes(compressed(packed.getvalue()))
    return path


def compressed(data: bytes) -> bytes:
    """One Zstandard frame with a checksum."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)


Change = Callable[[Path], None]


def flip(name: str, at: int = -1) -> Change:
    """Flip one bit of a file of the bag."""

    def change(bag: Path) -> None:
        path = bag / name
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)

    return change


def remove(name: str) -> Change:
    """Remove a file of the bag."""
    return lambda bag: (bag / name).unlink()


def add(name: str, content: bytes = b"more") -> Change:
    """Add a file to the bag."""

    def change(bag: Path) -> None:
        (bag / name).parent.mkdir(parents=True, exist_ok=True)
        (bag / name).write_bytes(content)

    return change


def rename(name: str, other: str) -> Change:
    """Give a file of the bag another name."""

    def change(bag: Path) -> None:
        (bag / name).rename(bag / other)

    return change


def swap(name: str, other: str) -> Change:
    """Let two files of the bag change places."""

    def change(bag: Path) -> None:
        first, second = (bag / name).read_bytes(), (bag / other).read_bytes()
        (bag / name).write_bytes(second)
        (bag / other).write_bytes(first)

    return change


def replace(name: str, old: bytes, new: bytes) -> Change:
    """Edit a file of the bag; the text must be there."""

    def change(bag: Path) -> None:
        content = (bag / name).read_bytes()
        assert old in content, f"{name} has no {old!r}"
        (bag / name).write_bytes(content.replace(old, new, 1))

    return change


def edit_json(name: str, edit: Callable[[Any], object]) -> Change:
    """Edit a JSON file of the bag; it is written as it was, with sorted keys."""

    def change(bag: Path) -> None:
        document = json.loads((bag / name).read_bytes())
        edit(document)
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        (bag / name).write_text(f"{text}\n", encoding="utf-8")

    return change


def renew_records(bag: Path) -> None:
    """Let manifest.json, the RO-Crate and the lists tell of what lies there now.

    As somebody would do who wants a change to go unnoticed, and who has read every standard.
    """
    manifest = bag / "data" / "result" / "manifest.json"
    document = json.loads(manifest.read_bytes())
    _describe(document["files"], bag / "data" / "result")
    for entry in document["inputs"]:
        role = entry["role"]
        _describe(
            entry["files"], bag / "data" / ("original" if role == "checkpoint" else f"given/{role}")
        )
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True)
    manifest.write_text(f"{text}\n", encoding="ascii")
    edit_json("data/ro-crate-metadata.json", lambda crate: _describe_in_crate(crate, bag))(bag)
    renew_lists(bag)


def _describe(entries: list[dict[str, Any]], folder: Path) -> None:
    for entry in entries:
        path = folder / entry["name"]
        if path.is_file():
            entry.update(size_bytes=path.stat().st_size, sha256=_sha256(path))


def _describe_in_crate(crate: Any, bag: Path) -> None:
    settings = json.loads((bag / "data" / "result" / "manifest.json").read_bytes())["settings"]
    for entity in crate["@graph"]:
        stage, _, option = entity["@id"].removeprefix("#").partition("-")
        if entity["@type"] == "PropertyValue" and option in settings.get(stage, {}):
            entity["value"] = json.dumps(
                settings[stage][option], ensure_ascii=False, sort_keys=True
            )
        path = bag / "data" / unquote(entity["@id"])
        if entity["@type"] == "File" and "sha256" in entity and path.is_file():
            entity.update(contentSize=str(path.stat().st_size), sha256=_sha256(path))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
