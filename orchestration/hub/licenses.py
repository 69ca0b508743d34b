"""Licences as the front matter of a model card names them.

https://huggingface.co/docs/hub/repositories-licenses
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

_KEYS: Final = Path(__file__).parent / "licenses.txt"
# How SPDX tells apart what the hub does not: "GPL-3.0-only".
_SPDX_ENDING: Final = re.compile(r"-(only|or-later)$")
UNKNOWN: Final = "unknown"
OTHER: Final = "other"


def hub_license(name: str | None) -> tuple[str, str | None]:
    """What the hub calls a licence: its key, and for "other" a name besides.

    Args:
        name: an identifier of SPDX's or the hub's, or any other name; None = it is not known.
    """
    if name is None:
        return UNKNOWN, None
    key = _SPDX_ENDING.sub("", name.strip().lower())
    if key in _known() and key != OTHER:
        return key, None
    return OTHER, re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or OTHER


@cache
def _known() -> frozenset[str]:
    return frozenset(_KEYS.read_text(encoding="ascii").split())
