"""Runs code that is not this program's: a user's model may raise anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stage_load.errors import LoadError

_MOST_MESSAGE = 300


class ModelRaised(Exception):
    """A model's own code raised; the message is one line."""


@contextmanager
def foreign_code() -> Iterator[None]:
    """Turn whatever the block raises into ``ModelRaised``, but for this program's own errors.

    Raises:
        ModelRaised: the block raised, or wanted to end the process.
    """
    try:
        yield
    except (LoadError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise ModelRaised(describe_failure(error)) from error


def describe_failure(error: BaseException) -> str:
    """Return an exception as one line of limited length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _MOST_MESSAGE else text[: _MOST_MESSAGE - 1] + "…"
