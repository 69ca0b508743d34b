"""Which reader this process uses, chosen once, when it starts: TensorFlow's libraries or our own.

`python -m stage_extract --reader pure` never imports TensorFlow, whether it is installed or not.
`both` does, and reads the checkpoint's own bytes without it, for a comparison of the two.
The choice lies in an environment variable because modules are bound to it when they are imported.
"""

from __future__ import annotations

import os
from typing import Optional

from stage_extract.errors import JobInvalid

READER_VARIABLE = "STAGE_EXTRACT_READER"
TENSORFLOW, PURE, BOTH = "tf", "pure", "both"
READERS = (TENSORFLOW, PURE, BOTH)


def choose_reader(reader: str) -> None:
    """Choose the reader of this process, before anything that depends on it is imported."""
    os.environ[READER_VARIABLE] = reader


def is_pure() -> bool:
    """Tell whether this process works without TensorFlow.

    Raises:
        ValueError: the environment names a reader that is not known.
    """
    return _reader() == PURE


def reads_by_itself() -> bool:
    """Tell whether this process decodes the files of variables without TensorFlow's help.

    Raises:
        ValueError: the environment names a reader that is not known.
    """
    return _reader() != TENSORFLOW


def check_reader(asked: str) -> None:
    """Check that this process can do a job that asks for a reader; "auto" is any.

    Raises:
        JobInvalid: it was started with the other one.
    """
    if asked != "auto" and (asked == PURE) != is_pure():
        raise JobInvalid(
            f"The job asks for the reader {asked!r}, and this process has {_reader()!r}.",
            "Expected a job for the reader that the process was started with.",
            f"Start `python -m stage_extract --reader {asked}`; the host does.",
        )


def _reader() -> str:
    reader = os.environ.get(READER_VARIABLE, TENSORFLOW)
    if reader not in READERS:
        raise ValueError(f"{READER_VARIABLE} is {reader!r}; known are {', '.join(READERS)}")
    return reader


def tensorflow_version() -> Optional[str]:
    """Give the version of TensorFlow in this process, None without it."""
    if is_pure():
        return None
    import tensorflow

    return str(tensorflow.__version__)
