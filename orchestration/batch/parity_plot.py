"""How far the models of a batch are from TensorFlow's, as a picture: items by decades."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestration.batch.markup import Html, element

# Exponents of the lowest and the highest decade; what is beyond belongs to them.
_LOWEST, _HIGHEST = -13, 3
_WIDTH, _HEIGHT = 360.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 20.0, 340.0, 34.0, 168.0
_NO_NUMBER_WIDTH = 56.0
_MOST_TICKS = 8
_GAP = 2.0
# One item among thousands is still seen.
_LEAST_HEIGHT = 2.0
PASSED, FAILED = "proven", "failed"


@dataclass(frozen=True)
class Compared:
    """A result that was compared with TensorFlow's.

    Attributes:
        max_rel: the largest difference, relative to the scale; None where it is no number.
        is_proven: it is within the tolerance, everywhere.
    """

    max_rel: float | None
    is_proven: bool


def parity_plot(compared: Sequence[Compared], tolerance: float | None) -> Html:
    """A histogram with a logarithmic axis, as an SVG element.

    Args:
        compared: all results.
        tolerance: what is allowed; None where it is not the same for all.
    """
    bins = _bins(compared)
    odd = Counter(_verdict(one) for one in compared if decade_of(one.max_rel) is None)
    first, last = _ends(bins, tolerance)
    right = _RIGHT - (_NO_NUMBER_WIDTH + _GAP if odd else 0.0)
    step = (right - _LEFT) / (last + 1 - first)
    highest = max([sum(bars.values()) for bars in (*bins.values(), odd)], default=1)
    parts: list[Html] = []
    for decade, bars in sorted(bins.items()):
        parts += _stack(bars, _LEFT + (decade - first) * step, step, highest)
    if odd:
        parts += _stack(odd, _RIGHT - _NO_NUMBER_WIDTH, _NO_NUMBER_WIDTH, highest)
        parts.append(_text("no number", _RIGHT - _NO_NUMBER_WIDTH / 2, _BOTTOM + 14))
    parts += _axis(first, last, step, right)
    if tolerance is not None:
        parts += _allowed(_LEFT + (math.log10(tolerance) - first) * step)
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return element("svg", parts, viewBox=box, role="img", aria_label=_in_words(bins, odd))


def decade_of(value: float | None) -> int | None:
    """The exponent of a difference, within what is drawn; None for what is no number."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    if value < 10.0**_LOWEST:
        return _LOWEST
    return min(_HIGHEST, max(_LOWEST, math.floor(math.log10(value))))


def _bins(compared: Iterable[Compared]) -> dict[int, Counter[str]]:
    """Decade -> how many passed and failed."""
    bins: dict[int, Counter[str]] = {}
    for one in compared:
        decade = decade_of(one.max_rel)
        if decade is not None:
            bins.setdefault(decade, Counter())[_verdict(one)] += 1
    return bins


def _verdict(one: Compared) -> str:
    return PASSED if one.is_proven else FAILED


def _ends(bins: Mapping[int, Counter[str]], tolerance: float | None) -> tuple[int, int]:
    """The first and the last decade that are drawn: with the tolerance between them."""
    decades = set(bins)
    if tolerance is not None:
        decades |= {math.ceil(math.log10(tolerance)) - 1, math.floor(math.log10(tolerance))}
    return min(decades, default=_LOWEST), max(decades, default=_HIGHEST)


def _stack(bars: Mapping[str, int], left: float, width: float, highest: int) -> Iterator[Html]:
    """What failed on top of what passed, with their number above."""
    bottom = _BOTTOM
    for verdict in (PASSED, FAILED):
        count = bars.get(verdict, 0)
        if count:
            height = max(_LEAST_HEIGHT, (_BOTTOM - _TOP) * count / highest)
            bottom -= height
            yield element(
                "rect",
                class_=f"bar {verdict}",
                x=f"{left + _GAP / 2:.2f}",
                y=f"{bottom:.2f}",
                width=f"{width - _GAP:.2f}",
                height=f"{height:.2f}",
            )
    yield _text(f"{sum(bars.values()):,}", left + width / 2, bottom - 4)


def _axis(first: int, last: int, step: float, right: float) -> Iterator[Html]:
    yield _line("axis", _LEFT, _BOTTOM, right, _BOTTOM)
    every = -(-(last + 2 - first) // _MOST_TICKS)
    for exponent in range(first, last + 2):
        at = _LEFT + (exponent - first) * step
        yield _line("axis", at, _BOTTOM, at, _BOTTOM + 3)
        if (exponent - first) % every == 0:
            yield _text("0" if exponent == _LOWEST else f"1e{exponent}", at, _BOTTOM + 14)
    yield _text("largest difference / scale", (_LEFT + right) / 2, _BOTTOM + 32)


def _allowed(at: float) -> Iterator[Html]:
    yield _line("allowed", at, _TOP - 12, at, _BOTTOM)
    is_right = at > _WIDTH / 2
    anchor = "end" if is_right else "start"
    yield _text("allowed", at + (-4 if is_right else 4), _TOP - 18, "allowed", anchor)


def _line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return element(
        "line", class_=class_, x1=f"{x1:.2f}", y1=f"{y1:.2f}", x2=f"{x2:.2f}", y2=f"{y2:.2f}"
    )


def _text(text: str, x: float, y: float, class_: str | None = None, anchor: str = "middle") -> Html:
    return element("text", text, class_=class_, x=f"{x:.2f}", y=f"{y:.2f}", text_anchor=anchor)


def _in_words(bins: Mapping[int, Counter[str]], odd: Counter[str]) -> str:
    """Everything that the picture shows."""
    parts = [f"{_span(decade)}: {_count(bars)}" for decade, bars in sorted(bins.items())]
    if odd:
        parts.append(f"no number: {_count(odd)}")
    return f"Largest differences, relative to the scale. {'; '.join(parts) or 'None'}."


def _span(decade: int) -> str:
    begin = "0" if decade == _LOWEST else f"1e{decade}"
    return f"1e{decade} and more" if decade == _HIGHEST else f"{begin} to 1e{decade + 1}"


def _count(bars: Mapping[str, int]) -> str:
    return ", ".join(
        f"{bars[verdict]:,} {verdict}" for verdict in (PASSED, FAILED) if bars[verdict]
    )
