"""What a graph leads to that contradicts itself in a way that no check at the door has found.

The contract's schema fixes the form of ``graph.json``; what an operation's attributes may hold is
known to those who read them. A stranger's graph may have text where they expect sizes.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from stage_load.errors import ExportDamaged

_MOST_MESSAGE = 300
_READING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def reading_graph(purpose: str) -> Iterator[None]:
    """Turn what a damaged graph leads to into an error for people, which keeps its traceback.

    Only for code that reads an export and nothing else: a fault of this program looks alike, and
    the message says so.

    Args:
        purpose: what the graph is read for, as in "the model 'unet'".
    """
    try:
        yield
    except _READING_ERRORS as error:
        raise ExportDamaged(
            f"graph.json cannot be read for {purpose}: {_shown(error)}.",
            "Expected operations whose attributes and shapes go together.",
            "Extract the checkpoint again. If the file is as the extraction wrote it, this is a "
            "bug of this program; report it with the traceback in the log.",
            traceback="".join(traceback.format_exception(error)),
        ) from error


def _shown(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_MESSAGE]
