"""The text files of a bag, read strictly: as writers of bags write them, and no other way.

A reader that forgives a blank too many or a capital letter misses a flipped bit there, and of the
tag manifests no other file holds a hash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestration.archive.verify.bag_names import why_unsafe
from orchestration.archive.verify.verdicts import Fault

_OXUM: Final = re.compile(rb"^Payload-Oxum: (\d{1,19})\.(\d{1,19})$", re.MULTILINE)
# RFC 8493, 2.1.3, of which the reference implementation leaves out "%25" for "%".
_ESCAPES: Final = {"%0A": "\n", "%0D": "\r"}
_ESCAPE: Final = re.compile("%0[AD]")
_HEX_DIGITS: Final = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True)
class Oxum:
    """What bag-info.txt says of the payload: `Payload-Oxum`."""

    size_bytes: int
    files: int


def parse_manifest(name: str, text: bytes, algorithm: str, faults: list[Fault]) -> dict[str, bytes]:
    """The hashes that a manifest or tag manifest lists.

    Args:
        name: of the manifest, for the faults.
        text: its content.
        algorithm: of its hashes.
        faults: gets one for the first line that is not as it should be.

    Returns:
        path -> hash.
    """
    line_form = re.compile(rf"([0-9a-f]{{{_HEX_DIGITS[algorithm]}}}) {{1,2}}([^\r\n]+)".encode())
    found: dict[str, bytes] = {}
    if text and not text.endswith(b"\n"):
        faults.append(Fault(name, "malformed", "its last line has no end"))
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        match = line_form.fullmatch(line)
        path = None if match is None else _path(match[2])
        if match is None or path is None or why_unsafe(path) is not None or path in found:
            why = "is no line of a hash and a path, leads out of the bag, or comes twice"
            faults.append(Fault(name, "malformed", f"line {number} {why}: {line[:200]!r}"))
            return found
        found[path] = bytes.fromhex(match[1].decode("ascii"))
    return found


def parse_oxum(bag_info: bytes) -> Oxum | None:
    """What bag-info.txt says of the payload; None if it says nothing, or two things."""
    found = _OXUM.findall(bag_info.replace(b"\r\n", b"\n"))
    if len(found) != 1:
        return None
    return Oxum(int(found[0][0]), int(found[0][1]))


def _path(encoded: bytes) -> str:
    """A path, from the way in which a manifest writes it."""
    text = encoded.decode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)
