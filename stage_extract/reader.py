"""The one interface through which the rest of this stage reads a checkpoint, whatever its format."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class VariableInfo(NamedTuple):
    """What a checkpoint says of one tensor without reading it.

    Attributes:
        name: the key in the checkpoint; a partitioned variable is one merged entry.
        dtype: numpy's name ("float32", "bool", …), or "bfloat16", "string", "qint8" …
        shape: sizes of the whole tensor; () for a scalar.
    """

    name: str
    dtype: str
    shape: Tuple[int, ...]
