"""Keeps a little of an output's values, TensorFlow's and torch's, for the report. Pure numpy.

Outputs may be large and are not kept: a sample is a few thousand numbers, and one picture of at
most 256 x 256 pixels where the output is an image or a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ELEMENTS = 2_000
"""Elements kept of a tensor, spread evenly over it."""

MOST_PIXELS = 256
"""Longest side of a picture; of larger ones, every second, third ... pixel is kept."""

GREY = "grey"
COLOUR = "colour"
MASK = "mask"

_FEWEST_PIXELS = 8
_MOST_CLASSES = 64
_COLOURS = 3
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Picture:
    """One example of an output that is an image or a mask, reduced.

    Attributes:
        kind: ``"grey"``, ``"colour"`` or ``"mask"``.
        expected: TensorFlow's: numbers [height, width], colours [height, width, 3], or the numbers
            of the classes [height, width].
        actual: torch's, likewise.
        difference: largest absolute difference of a pixel's channels [height, width].
        step: every how many pixels one was kept.
    """

    kind: str
    expected: NDArray[Any]
    actual: NDArray[Any]
    difference: NDArray[np.float64]
    step: int


@dataclass(frozen=True, eq=False)
class Sample:
    """Some elements of both sides of an output, spread evenly, as float64 [elements].

    Attributes:
        expected: TensorFlow's.
        actual: torch's, of the same places.
        size: elements of the whole output.
        picture: ``None`` where it is no image.
    """

    expected: NDArray[np.float64]
    actual: NDArray[np.float64]
    size: int
    picture: Picture | None


def take_sample(
    expected: NDArray[Any], actual: NDArray[Any], *, channels_first: bool
) -> Sample | None:
    """Take a sample; ``None`` where both cannot be laid over each other or are not real numbers.

    Args:
        expected: what TensorFlow computed.
        actual: what torch computed, in the same axes.
        channels_first: whether images are N, C, H, W.
    """
    if expected.shape != actual.shape or not expected.size:
        return None
    if np.iscomplexobj(expected) or np.iscomplexobj(actual):
        return None
    places = np.unique(np.linspace(0, expected.size - 1, MOST_ELEMENTS).astype(np.int64))
    return Sample(
        expected.reshape(-1)[places].astype(np.float64),
        actual.reshape(-1)[places].astype(np.float64),
        expected.size,
        _picture(expected, actual, channels_first=channels_first),
    )


def _picture(
    expected: NDArray[Any], actual: NDArray[Any], *, channels_first: bool
) -> Picture | None:
    step = _step(expected, channels_first=channels_first)
    if step is None:
        return None
    a, b = (_first_example(array, step, channels_first) for array in (expected, actual))
    kind = _kind(a, is_whole=not np.issubdtype(expected.dtype, np.inexact))
    if kind is None:
        return None
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b).max(axis=-1)
    if kind == MASK and a.shape[-1] > 1:
        a, b = (np.argmax(array, axis=-1) for array in (a, b))
    elif kind != COLOUR:
        a, b = a[..., 0], b[..., 0]
    return Picture(kind, a, b, difference, step)


def _step(array: NDArray[Any], *, channels_first: bool) -> int | None:
    """Return every how many pixels one is kept; ``None`` for what has no height and width."""
    if array.ndim == 4:
        sides = array.shape[2:] if channels_first else array.shape[1:3]
    elif array.ndim == 3 and not np.issubdtype(array.dtype, np.inexact):
        sides = array.shape[1:]
    else:
        return None
    return None if min(sides) < _FEWEST_PIXELS else -(-max(sides) // MOST_PIXELS)


def _first_example(array: NDArray[Any], step: int, channels_first: bool) -> NDArray[np.float64]:
    """Return [height, width, channels] of the first of a batch, reduced."""
    example = array[0]
    if example.ndim == 2:
        example = example[..., None]
    elif channels_first:
        example = np.moveaxis(example, 0, -1)
    reduced: NDArray[np.float64] = example[::step, ::step].astype(np.float64)
    return reduced


def _kind(example: NDArray[np.float64], *, is_whole: bool) -> str | None:
    """Tell images from scores of classes; ``None`` for features, which show nothing to people."""
    channels = example.shape[-1]
    if channels == 1:
        few = is_whole and bool(np.all((example >= 0) & (example < _MOST_CLASSES)))
        return MASK if few else GREY
    if channels == _COLOURS and not _are_shares(example):
        return COLOUR
    return MASK if channels <= _MOST_CLASSES else None


def _are_shares(example: NDArray[np.float64]) -> bool:
    """Whether a pixel's channels are probabilities of classes: none negative, their sum one."""
    with np.errstate(invalid="ignore"):
        sums = example.sum(axis=-1)
        return bool(np.all(example >= 0) and np.all(np.abs(sums - 1) < _SUM_TOLERANCE))
