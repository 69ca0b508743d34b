"""Text of a checkpoint made visible: names in it may hold what turns or hides the text around."""

from __future__ import annotations

import re

# Control characters, marks that turn the direction of writing, and what has no width.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def visible(text: str) -> str:
    r"""Return ``text`` with such characters written out, as in ``\u202e``."""
    return _HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)
