"""Small files that appear whole or not at all, without locks, also on NFS."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".new-"


def write_new(path: Path, content: Mapping[str, Any]) -> bool:
    """Write a file that was not there.

    A link is made atomically everywhere, NFS included, where exclusive creation is not to be
    trusted (open(2), O_EXCL).

    Returns:
        False if another process was first; its file is left as it is.

    Raises:
        OSError: the file system refuses.
    """
    temporary = _write_temporary(path, _text(content))
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A server's answer may be lost and the request repeated: two names mean that it is ours.
        return os.stat(temporary).st_nlink > 1
    finally:
        temporary.unlink()
    return True


def write_over(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file in place of an earlier one.

    Raises:
        OSError: the file system refuses.
    """
    write_text_over(path, _text(content))


def write_text_over(path: Path, text: str) -> None:
    """Write a text in place of an earlier one.

    Raises:
        OSError: the file system refuses.
    """
    temporary = _write_temporary(path, text)
    try:
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, indent=1) + "\n"


def _write_temporary(path: Path, text: str) -> Path:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    try:
        # A script may hold the name of a folder that is no text in UTF-8.
        with temporary.open("x", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    return temporary
