"""The text files that make a folder a bag (RFC 8493)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.crate.facts import Creator
from orchestration.archive.layout import HASHES
from orchestration.printing import size_text
from orchestration.run_paths import PROJECT

DECLARATION_FILE: Final = "bagit.txt"
INFO_FILE: Final = "bag-info.txt"
DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def manifest_name(algorithm: str, *, of_tags: bool = False) -> str:
    """Name of the file that lists one kind of hashes: of the payload, or of the tag files."""
    return f"{'tag' if of_tags else ''}manifest-{algorithm}.txt"


def manifest(files: Mapping[str, FileFound], algorithm: str) -> bytes:
    """Hash and path of each file, sorted by path, as `sha256sum -c` reads them, too.

    Args:
        files: path from the bag's folder on -> file; no path has a line break or "%".
        algorithm: one of `layout.HASHES`.
    """
    assert algorithm in HASHES
    lines = [f"{files[path].hex(algorithm)}  {path}\n" for path in sorted(files)]
    return "".join(lines).encode()


def bag_info(
    payload: Sequence[FileFound],
    made: datetime,
    version: str,
    description: str,
    creators: Sequence[Creator],
    doi: str | None,
) -> bytes:
    """What a bag says of itself.

    Args:
        payload: its files.
        made: when.
        version: of this program.
        description: one line.
        creators: whom to ask.
        doi: under which it is published, or None.
    """
    size_bytes = sum(found.size_bytes for found in payload)
    tags = [
        ("Bag-Size", size_text(size_bytes)),
        ("Bag-Software-Agent", f"{PROJECT} {version}"),
        ("Bagging-Date", made.date().isoformat()),
    ]
    for creator in creators:
        tags.append(("Contact-Name", creator.name))
        if creator.mail is not None:
            tags.append(("Contact-Email", creator.mail))
    tags.append(("External-Description", description))
    if doi is not None:
        tags.append(("External-Identifier", f"https://doi.org/{doi}"))
    tags.append(("Payload-Oxum", f"{size_bytes}.{len(payload)}"))
    return "".join(f"{label}: {_one_line(value)}\n" for label, value in tags).encode()


def _one_line(value: str) -> str:
    return _BLANKS.sub(" ", value).strip()
