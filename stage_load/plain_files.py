"""Opens files of strangers: a pipe would wait for ever, a device has no end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain_file(path: Path) -> BinaryIO:
    """Open a file for reading, without a buffer. A link to a plain file is followed.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    # Without O_NONBLOCK the opening of a pipe waits for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", os.fspath(path))
    return open(descriptor, "rb", buffering=0)


def read_plain_file(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: as ``open_plain_file``, or the file has more than ``most_bytes``.
    """
    with open_plain_file(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > most_bytes:
            what = f"it has {size_bytes:,} bytes, more than {most_bytes:,}"
            raise OSError(errno.EFBIG, what, os.fspath(path))
        # It may grow while it is read.
        return file.read(most_bytes)
