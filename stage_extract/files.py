"""Opening and listing what the user gave, with errors that a person understands."""

from __future__ import annotations

import os
import re
import stat
from typing import BinaryIO, List

from stage_extract.errors import NotReadable

# In the path of a checkpoint, TensorFlow takes these for parts of a pattern, and refuses what is no
# UTF-8.
_NOT_LITERAL = re.compile(r"[*?\[\]\\\ud800-\udfff]")
_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def literal_name(path: str) -> str:
    """Give a path without what TensorFlow does not take as it stands; mostly the path itself."""
    return _NOT_LITERAL.sub("_", path)


def not_readable(path: str, error: OSError) -> NotReadable:
    """Turn the operating system's refusal into an error that names the path and the reason."""
    return NotReadable(
        f"{path!r} cannot be read: {error.strerror}.",
        "Expected a file or folder that the user who runs the extraction may read.",
        f"Look at its permissions (ls -l {os.path.dirname(path) or '.'}) and at those of the "
        "folders above it; chmod a+r (files) and a+rx (folders) opens them.",
    )


def check_plain_file(path: str) -> None:
    """Refuse a pipe or a device: the first may never answer, the second may have no end.

    Raises:
        NotReadable: it is one, or the operating system refuses.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise not_readable(path, error) from error
    if not stat.S_ISREG(mode):
        raise NotReadable(
            f"{path!r} cannot be read: it is a {_KINDS.get(stat.S_IFMT(mode), 'special file')}.",
            "Expected a plain file.",
            "Copy the checkpoint's own files into a folder, and give that.",
        )


def open_for_reading(path: str) -> BinaryIO:
    """Open a plain file for reading bytes.

    Raises:
        NotReadable: it is no plain file, or the operating system refuses.
    """
    check_plain_file(path)
    try:
        return open(path, "rb")
    except OSError as error:
        raise not_readable(path, error) from error


def check_access(path: str) -> None:
    """Make sure that the folders above a path may be entered; the path itself may be missing.

    Raises:
        NotReadable: the operating system refuses.
    """
    try:
        os.stat(path)
    except PermissionError as error:
        raise not_readable(path, error) from error
    except OSError:
        # What a missing path means depends on its neighbours; the caller looks at these.
        return


def list_folder(path: str) -> List[str]:
    """Give the names in a folder, sorted.

    Raises:
        NotReadable: the operating system refuses.
    """
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise not_readable(path, error) from error
