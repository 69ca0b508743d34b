"""Names that every reader of bags finds again.

RFC 8493 (2.1.3) has line breaks and "%" in a manifest's paths written as %0A, %0D and %25, and no
known reader does all of that; some take blanks off a line's end; and what is no UTF-8 cannot be
listed at all. A file with such a name lies in the bag under another one, and a list in the bag
tells which it had.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from orchestration.strict_json import decode_json

_MOST_NAME_BYTES: Final = 255
_DIGEST_CHARACTERS: Final = 16
_UNLISTABLE: Final = re.compile("[%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\\s|\\s$")
_BEYOND_ASCII: Final = re.compile(f"{_UNLISTABLE.pattern}|[^\x00-\x7f]")
# What an escaped name looks like. So do names of packages for x86_64, which pip must find.
_ESCAPED: Final = re.compile("_(?=x[0-9A-F]{2}_)")


class PortableNames:
    """Gives each file a path that can be listed, and remembers which ones were changed.

    Attributes:
        renamed: path in the bag -> the path that it had; only what differs.
    """

    def __init__(self) -> None:
        self.renamed: dict[str, str] = {}
        self._taken: set[str] = set()

    def add(self, path: str) -> str:
        """The path in the bag for a file that was called so; "/" is between the names.

        Raises:
            ValueError: it was added before.
        """
        portable = _escaped_path(path, _UNLISTABLE)
        # Two ways to write one name, such as an umlaut as one letter and as two.
        portable = unicodedata.normalize("NFC", portable)
        if portable in self._taken:
            portable = _escaped_path(path, _BEYOND_ASCII)
        while portable in self._taken:
            other = _escaped_path(portable, _ESCAPED)
            if other == portable:
                raise ValueError(f"{path!r} is there twice")
            portable = other
        self._taken.add(portable)
        if portable != path:
            self.renamed[portable] = path
        return portable


def write_renamed(renamed: Mapping[str, str]) -> bytes:
    """The list of changed names: path in the bag -> former path, its bytes percent-encoded."""
    listed = {path: quote(os.fsencode(former)) for path, former in renamed.items()}
    return f"{json.dumps(listed, indent=1, sort_keys=True, ensure_ascii=True)}\n".encode("ascii")


def read_renamed(text: bytes) -> dict[str, str]:
    """What `write_renamed` was given.

    Raises:
        ValueError: the text is no such list.
    """
    listed = decode_json(text)
    if not isinstance(listed, dict) or not all(isinstance(one, str) for one in listed.values()):
        raise ValueError("it is no object of texts")
    return {path: os.fsdecode(unquote_to_bytes(former)) for path, former in listed.items()}


def _escaped_path(path: str, what: re.Pattern[str]) -> str:
    return "/".join(_escaped(name, what) for name in path.split("/"))


def _escaped(name: str, what: re.Pattern[str]) -> str:
    """A name with each byte of what is found in it as _xNN_, as spreadsheets write it."""

    def escape(match: re.Match[str]) -> str:
        return "".join(f"_x{byte:02X}_" for byte in os.fsencode(match[0]))

    escaped = what.sub(escape, name)
    encoded = escaped.encode()
    if len(encoded) <= _MOST_NAME_BYTES:
        return escaped
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGEST_CHARACTERS]
    kept = encoded[: _MOST_NAME_BYTES - len(digest) - 1].decode(errors="ignore")
    return f"{kept}-{digest}"
