"""Writes a bag: its payload, then what lists it, and last what makes it a bag."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from orchestration.archive import layout
from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.bag.source_reader import SourceUnreadable
from orchestration.archive.bag.tag_files import (
    DECLARATION,
    DECLARATION_FILE,
    INFO_FILE,
    manifest,
    manifest_name,
)
from orchestration.archive.contents import not_archivable
from orchestration.archive.crate.facts import FileFact
from orchestration.archive.entries import Contents, Entry


class Sink(Protocol):
    """Where a bag's files go, each once."""

    def add(self, path: str, entry: Entry) -> FileFound:
        """Put a file at a path from the bag's folder on, and hash it.

        Raises:
            SourceUnreadable: it cannot be read.
            OSError: it cannot be written.
        """

    def finish(self) -> None:
        """Have everything on the disk."""


@dataclass(frozen=True)
class BagTexts:
    """What a bag holds besides its contents.

    Attributes:
        crate: makes `ro-crate-metadata.json` of the payload's other files.
        info: makes `bag-info.txt` of the whole payload.
        readme: for people.
        sign: makes the signature of a file, or None.
    """

    crate: Callable[[Sequence[FileFact]], bytes]
    info: Callable[[Sequence[FileFound]], bytes]
    readme: bytes
    sign: Callable[[Path], bytes] | None


def write_bag(sink: Sink, contents: Contents, texts: BagTexts, scratch: Path) -> int:
    """Write all of a bag.

    Args:
        sink: where it goes.
        contents: its payload but the metadata.
        texts: the rest.
        scratch: folder for a file that is to be signed.

    Returns:
        Bytes of the payload.

    Raises:
        NotArchivable: files have changed since their record was written, or cannot be read.
        OSError: the bag cannot be written.
    """
    payload = _write_payload(sink, contents, texts)
    tags: dict[str, FileFound] = {}

    def add_tag(name: str, content: bytes) -> None:
        tags[name] = sink.add(name, Entry(name, content, len(content)))

    add_tag(layout.README, texts.readme)
    add_tag(INFO_FILE, texts.info(list(payload.values())))
    for algorithm in layout.HASHES:
        add_tag(manifest_name(algorithm), manifest(payload, algorithm))
    _write_tag_manifests(sink, tags, texts, scratch)
    # Without it there is no bag: whatever breaks off before leaves none.
    sink.add(DECLARATION_FILE, _DECLARATION)
    sink.finish()
    return sum(found.size_bytes for found in payload.values())


def _write_payload(sink: Sink, contents: Contents, texts: BagTexts) -> dict[str, FileFound]:
    """The payload, with its metadata: path from the bag's folder on -> file."""
    problems: dict[str, str] = {}
    found: dict[str, FileFound] = {}
    for entry in contents.entries:
        try:
            file = sink.add(f"{layout.PAYLOAD}/{entry.path}", entry)
        except SourceUnreadable as error:
            raise not_archivable({**problems, entry.was: str(error)}) from error
        if entry.sha256 not in (None, file.hex("sha256")):
            problems[entry.was] = f"it has changed: its SHA-256 is {file.hex('sha256')}"
        found[entry.path] = file
    if problems:
        raise not_archivable(problems)
    facts = [FileFact(path, one.size_bytes, one.hex("sha256")) for path, one in found.items()]
    crate = texts.crate(facts)
    payload = {f"{layout.PAYLOAD}/{path}": one for path, one in found.items()}
    metadata = Entry(layout.CRATE_METADATA, crate, len(crate))
    payload[layout.CRATE_METADATA] = sink.add(layout.CRATE_METADATA, metadata)
    return payload


def _write_tag_manifests(
    sink: Sink, tags: dict[str, FileFound], texts: BagTexts, scratch: Path
) -> None:
    listed = {**tags, DECLARATION_FILE: _hashed_declaration()}
    for algorithm in layout.HASHES:
        name = manifest_name(algorithm, of_tags=True)
        content = manifest(listed, algorithm)
        sink.add(name, Entry(name, content, len(content)))
        if texts.sign is not None and name == layout.SIGNED:
            file = scratch / name
            file.write_bytes(content)
            signature = texts.sign(file)
            sink.add(layout.SIGNATURE, Entry(layout.SIGNATURE, signature, len(signature)))


def _hashed_declaration() -> FileFound:
    digests = tuple(hashlib.new(name, DECLARATION).digest() for name in layout.HASHES)
    return FileFound(len(DECLARATION), digests)


_DECLARATION: Final = Entry(DECLARATION_FILE, DECLARATION, len(DECLARATION))
