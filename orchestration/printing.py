"""Text from a checkpoint made safe for a terminal: names in it may hold anything."""

from __future__ import annotations

import re

# Control characters (a terminal obeys them), marks that turn the direction of writing, and halves
# of surrogate pairs, which no terminal can be sent. Tab and newline are harmless.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""`text` with what a terminal would obey written out, such as \x1b."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
