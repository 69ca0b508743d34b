"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import BinaryIO, Iterator

from stage_extract.errors import DiskFull, ExtractError, OutputNotWritable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEMPORARY_SUFFIX = ".partial"


def _file_mode() -> int:
    # The process's umask can only be read by setting it.
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


def write_failed(path: str, error: OSError) -> ExtractError:
    """Turn the operating system's refusal to write into an error that says what to do."""
    if error.errno in _NO_ROOM:
        return DiskFull(
            f"There was no room left for {path!r}: {error.strerror}.",
            "Expected room for the exported variables (about the size of the checkpoint) and the "
            "reference run.",
            "Free some space, or choose an output folder on another disk. Nothing was left behind.",
        )
    return OutputNotWritable(
        f"{path!r} cannot be written: {error.strerror}.",
        "Expected an existing folder that the user who runs the extraction may write to.",
        "Look at the folder's permissions, or choose another output folder.",
    )


@contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name only when everything is on the disk.

    The bytes go to a temporary name in the same folder; at the end of the block they are synced,
    given the mode that the umask allows, and renamed. On any error the temporary file is removed
    and whatever had the name before is untouched.

    Raises:
        DiskFull: no room, or a quota.
        OutputNotWritable: any other refusal of the operating system.
    """
    temporary = path + _TEMPORARY_SUFFIX
    try:
        with _removed_unless_renamed(temporary), open(temporary, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _file_mode())
            os.replace(temporary, path)
    except OSError as error:
        raise write_failed(path, error) from error


@contextmanager
def _removed_unless_renamed(temporary: str) -> Iterator[None]:
    try:
        yield
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
