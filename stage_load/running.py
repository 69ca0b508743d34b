"""Runs code that is not this program's: a user's model may raise anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from stage_load.errors import LoadError
from stage_load.own_traceback import own_lines, own_place

_MOST_MESSAGE = 300


class ModelRaised(Exception):
    """A model's own code raised; the message is one line, and tells where.

    Args:
        error: what it raised.
    """

    def __init__(self, error: BaseException) -> None:
        place = own_place(error)
        super().__init__(describe_failure(error) + (f" ({place})" if place else ""))
        self.lines = own_lines(error, short=True)


@contextmanager
def foreign_code() -> Iterator[None]:
    """Turn whatever the block raises into ``ModelRaised``, but for this program's own errors.

    What the model has handed to ``torch.compile`` runs as it is written: hooks are called, and no
    compiler is needed.

    Raises:
        ModelRaised: the block raised, or wanted to end the process.
    """
    try:
        with _as_written():
            yield
    except (LoadError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise ModelRaised(error) from error


def _as_written() -> AbstractContextManager[Any]:
    # Not imported for its own sake: that takes a second, and only torch.compile needs it.
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        eagerly: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return eagerly
    return nullcontext()


def describe_failure(error: BaseException) -> str:
    """Return an exception as one line of limited length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _MOST_MESSAGE else text[: _MOST_MESSAGE - 1] + "…"
