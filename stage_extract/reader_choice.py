"""Which reader this process uses, chosen once, when it starts: TensorFlow's libraries or our own.

`python -m stage_extract --reader pure` never imports TensorFlow, whether it is installed or not.
The choice lies in an environment variable because modules are bound to it when they are imported.
"""

from __future__ import annotations

import os
from typing import Optional

READER_VARIABLE = "STAGE_EXTRACT_READER"
TENSORFLOW, PURE = "tf", "pure"
READERS = (TENSORFLOW, PURE)


def choose_reader(reader: str) -> None:
    """Choose the reader of this process, before anything that depends on it is imported."""
    os.environ[READER_VARIABLE] = reader


def is_pure() -> bool:
    """Tell whether this process works without TensorFlow.

    Raises:
        ValueError: the environment names a reader that is not known.
    """
    reader = os.environ.get(READER_VARIABLE, TENSORFLOW)
    if reader not in READERS:
        raise ValueError(f"{READER_VARIABLE} is {reader!r}; known are {', '.join(READERS)}")
    return reader == PURE


def tensorflow_version() -> Optional[str]:
    """Give the version of TensorFlow in this process, None without it."""
    if is_pure():
        return None
    import tensorflow

    return str(tensorflow.__version__)
