"""Compares two arrays: places of NaN and infinity first, then numbers. Pure numpy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stage_load.samples import Sample

DEFAULT_TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest magnitude that TensorFlow computed."""

_PIECE = 1 << 19
"""Elements compared at a time, in float64, so that no copy of the whole arrays is made."""

AGREES = "agrees"
DIFFERS = "differs"


@dataclass(frozen=True)
class Comparison:
    """What was found; numbers are ``None`` where they have no meaning.

    Attributes:
        verdict: ``"agrees"`` or ``"differs"``.
        reason: why it differs, or what to know of how it was compared.
        max_abs: largest absolute difference of the finite elements.
        scale: largest magnitude of TensorFlow's finite elements.
        max_rel: ``max_abs / scale``; where TensorFlow is zero everywhere, ``max_abs`` itself.
        cosine: cosine of the angle between both, as vectors of the finite elements.
        index: place of the worst element in TensorFlow's axes, or of the first that is not finite
            in one of them only.
        expected: TensorFlow's value there.
        actual: torch's value there.
        non_finite: elements that are NaN or infinite in TensorFlow.
        compared: numbers that were compared: all elements but those.
        varies: TensorFlow's numbers differ from place to place, not only from channel to channel
            (as those of a bias do), so that agreement says something of the weights before.
        misplaced: NaN or infinity stands in one of both only.
        misshapen: the shapes differ, so that there is nothing to compare.
        sample: a little of both, of the outputs alone.
    """

    verdict: str
    reason: str | None
    max_abs: float | None = None
    scale: float | None = None
    max_rel: float | None = None
    cosine: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    actual: float | None = None
    non_finite: int = 0
    compared: int = 0
    varies: bool = False
    misplaced: bool = False
    misshapen: bool = False
    sample: Sample | None = field(default=None, compare=False, repr=False)

    @property
    def agrees(self) -> bool:
        """Whether both are the same within the tolerance."""
        return self.verdict == AGREES


def compare(
    expected: NDArray[Any], actual: NDArray[Any], tolerance: float = DEFAULT_TOLERANCE
) -> Comparison:
    """Compare torch's array with TensorFlow's.

    Floating numbers agree when no difference exceeds ``tolerance * scale``, and NaN and infinities
    stand in the same places. Whole numbers and truth values agree when they are equal.

    Args:
        expected: what TensorFlow computed.
        actual: what torch computed, in the same axes.
        tolerance: relative to the scale.
    """
    if expected.shape != actual.shape:
        return Comparison(
            DIFFERS,
            f"shape {list(actual.shape)} in torch, {list(expected.shape)} in TensorFlow",
            misshapen=True,
        )
    if not expected.size:
        return Comparison(AGREES, "both are empty")
    if np.iscomplexobj(expected) or np.iscomplexobj(actual):
        expected, actual = _as_real(expected), _as_real(actual)
    misplaced = _first_misplaced(expected, actual)
    if misplaced is not None:
        return Comparison(
            DIFFERS,
            "NaN or infinity at different places",
            index=_unravel(misplaced, expected.shape),
            expected=_number(expected, misplaced),
            actual=_number(actual, misplaced),
            non_finite=_count_non_finite(expected),
            misplaced=True,
        )
    if not _is_inexact(expected):
        return _compare_exactly(expected, actual)
    return _compare_numbers(expected, actual, tolerance)


def _compare_numbers(expected: NDArray[Any], actual: NDArray[Any], tolerance: float) -> Comparison:
    max_abs, scale, worst = 0.0, 0.0, 0
    dot, norm_expected, norm_actual = 0.0, 0.0, 0.0
    non_finite = 0
    for begin, a, b in _pieces(expected, actual):
        finite = np.isfinite(a)
        if not finite.all():
            non_finite += int(finite.size - np.count_nonzero(finite))
            a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
        difference = np.abs(a - b)
        at = int(difference.argmax())
        if difference[at] > max_abs:
            max_abs, worst = float(difference[at]), begin + at
        scale = max(scale, float(np.abs(a).max()))
        dot += float(a @ b)
        norm_expected += float(a @ a)
        norm_actual += float(b @ b)
    zero = scale == 0.0
    max_rel = max_abs if zero else max_abs / scale
    agrees = max_rel <= tolerance
    reason = "TensorFlow is zero everywhere, compared absolutely" if zero else None
    if not agrees:
        what = "absolute" if zero else "of the scale"
        reason = f"largest difference {max_rel:.3g} {what}, allowed {tolerance:.3g}"
        reason += _coarse_steps(expected, actual, tolerance)
    return Comparison(
        verdict=AGREES if agrees else DIFFERS,
        reason=reason,
        max_abs=max_abs,
        scale=scale,
        max_rel=max_rel,
        cosine=_cosine(dot, norm_expected, norm_actual),
        index=_unravel(worst, expected.shape),
        expected=_number(expected, worst),
        actual=_number(actual, worst),
        non_finite=non_finite,
        compared=expected.size - non_finite,
        varies=_varies(expected),
    )


def _compare_exactly(expected: NDArray[Any], actual: NDArray[Any]) -> Comparison:
    differing = np.flatnonzero(expected.reshape(-1) != actual.reshape(-1))
    if not differing.size:
        return Comparison(
            AGREES,
            "whole numbers, compared exactly",
            max_abs=0.0,
            max_rel=0.0,
            compared=expected.size,
            varies=_varies(expected),
        )
    worst = int(differing[0])
    return Comparison(
        DIFFERS,
        f"{differing.size} of {expected.size} whole numbers differ",
        index=_unravel(worst, expected.shape),
        expected=_number(expected, worst),
        actual=_number(actual, worst),
    )


def _varies(array: NDArray[Any]) -> bool:
    """Tell whether finite numbers of one channel (the last axis) differ; of one number: is not 0.

    Where there is a single place, [1, channels], numbers of different channels are compared.
    """
    if array.size == 1:
        return bool(np.isfinite(array).all() and array.any())
    channels = array.shape[-1] if array.ndim > 1 and array.size > array.shape[-1] else 1
    rows = array.reshape(-1, channels)
    first = rows[:1].astype(np.float64)
    step = max(1, _PIECE // channels)
    for begin in range(0, len(rows), step):
        piece = rows[begin : begin + step].astype(np.float64)
        if np.any((piece != first) & np.isfinite(piece) & np.isfinite(first)):
            return True
    return False


def _coarse_steps(expected: NDArray[Any], actual: NDArray[Any], tolerance: float) -> str:
    """Say so where numbers of the dtype lie farther apart than what is allowed."""
    for array in (expected, actual):
        if _is_inexact(array) and (step := float(np.finfo(array.dtype).eps)) > tolerance:
            return f"; {array.dtype.name} rounds to steps of {step:.3g}, --tolerance may be larger"
    return ""


def _as_real(array: NDArray[Any]) -> NDArray[np.float64]:
    """Give real and imaginary parts an axis of their own, the last."""
    parts = np.ascontiguousarray(array, dtype=np.complex128).view(np.float64)
    return parts.reshape(*array.shape, 2)


def _cosine(dot: float, norm_expected: float, norm_actual: float) -> float | None:
    if norm_expected == 0.0 or norm_actual == 0.0:
        return None
    return min(1.0, max(-1.0, dot / (math.sqrt(norm_expected) * math.sqrt(norm_actual))))


def _is_inexact(array: NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.inexact))


def _pieces(
    expected: NDArray[Any], actual: NDArray[Any]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the first element's number and a piece of both arrays, flat, in float64."""
    a, b = expected.reshape(-1), actual.reshape(-1)
    for begin in range(0, a.size, _PIECE):
        part = slice(begin, begin + _PIECE)
        yield begin, a[part].astype(np.float64), b[part].astype(np.float64)


def _first_misplaced(expected: NDArray[Any], actual: NDArray[Any]) -> int | None:
    """Return the first element that is NaN, +infinity or -infinity in one array only."""
    if not _is_inexact(expected) and not _is_inexact(actual):
        return None
    for begin, a, b in _pieces(expected, actual):
        same = (a == b) | (np.isfinite(a) & np.isfinite(b)) | (np.isnan(a) & np.isnan(b))
        if not same.all():
            return begin + int(np.argmin(same))
    return None


def _count_non_finite(array: NDArray[Any]) -> int:
    return sum(int(np.count_nonzero(~np.isfinite(a))) for _, a, _ in _pieces(array, array))


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(flat, shape))


def _number(array: NDArray[Any], flat: int) -> float:
    return float(array.reshape(-1)[flat])
