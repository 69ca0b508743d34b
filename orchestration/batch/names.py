"""Names of items: a result folder's each, on any file system, and the same on the next run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.run_paths import checkpoint_stem, default_out

# Folders and files of the batch itself.
RESERVED = frozenset({"batch", "summary.csv", "summary.html", ".work"})
# A file system takes 255 bytes; temporary files and records add to the name.
LONGEST_NAME_BYTES = 180
_LONGEST_STEM_CHARACTERS = 40
_DIGITS = 10
_SUFFIX = "-torch"

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_WINDOWS_CHARACTERS = re.compile(r'[<>:"\\|?*]')
_ODD = re.compile(r"[^\w.+=-]+")
# Control characters, marks that format or turn the writing, halves of pairs, ends of lines.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def name_key(name: str) -> str:
    """What two names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def why_not(name: str) -> str | None:
    """What forbids a name, or None."""
    if name in (".", "..") or "/" in name:
        return "it leads to another folder"
    invisible = next((sign for sign in name if _is_invisible(sign)), None)
    if invisible is not None:
        return f"it holds the invisible character {invisible!a}"
    found = _WINDOWS_CHARACTERS.search(name)
    if found is not None:
        return f"some file systems do not take {found[0]!r}"
    if _WINDOWS_DEVICE.fullmatch(name) or name[-1] in ". ":
        return "Windows does not take it"
    if name_key(name) in RESERVED:
        return "the batch itself writes a file or folder of this name"
    if name[0] in ".- ":
        return f"it begins with {name[0]!r}"
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        return f"it is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def made_name(checkpoint: Path, options: Mapping[str, Any]) -> str:
    """The name of an item that its row does not name.

    Args:
        checkpoint: from the root.
        options: what the row says besides, JSON values.

    Returns:
        The last three parts of the checkpoint's path, for people, and a part of a hash over the
        row: nothing but the row itself changes it, and no two rows share it.
    """
    # Whichever of its files a row names, it asks for the same checkpoint.
    prefix = (
        checkpoint.with_name(checkpoint_stem(checkpoint.name)) if checkpoint.name else checkpoint
    )
    row = json.dumps([os.fspath(prefix), options], sort_keys=True)
    digest = hashlib.sha256(row.encode()).hexdigest()[:_DIGITS]
    own = default_out(checkpoint, "torch").name.removesuffix(_SUFFIX)
    parts = (checkpoint.parent.parent.name, checkpoint.parent.name, own)
    stems = dict.fromkeys(map(_readable, parts))
    return "-".join([*filter(None, stems), digest])


def _readable(part: str) -> str:
    text = _ODD.sub("_", unicodedata.normalize("NFC", part))
    while len(text) > _LONGEST_STEM_CHARACTERS or len(os.fsencode(text)) > LONGEST_NAME_BYTES // 4:
        text = text[:-1]
    return text.strip("._-+=")


def _is_invisible(sign: str) -> bool:
    return unicodedata.category(sign) in _INVISIBLE_CATEGORIES
