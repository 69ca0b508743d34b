"""What parts of one tensor leave uncovered, and where they meet. Plain arithmetic, no arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Box = tuple[tuple[int, int], ...]
"""Begin and end on every axis, ends excluded."""


def gaps(shape: Sequence[int], boxes: Sequence[Box]) -> list[Box]:
    """Return boxes without a common element that make up all that ``boxes`` leave uncovered."""
    left: list[Box] = [tuple((0, size) for size in shape)]
    for box in boxes:
        left = [rest for piece in left for rest in _without(piece, box)]
    return [box for box in left if all(begin < end for begin, end in box)]


def meeting(first: Box, second: Box) -> Box | None:
    """Return what two boxes have in common, ``None`` for nothing."""
    common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))
    return common if all(begin < end for begin, end in common) else None


def box_text(box: Box, shape: Sequence[int]) -> str:
    """Write a box as ``[0:16, :]``."""
    ranges = (
        ":" if (begin, end) == (0, size) else f"{begin}:{end}"
        for (begin, end), size in zip(box, shape, strict=True)
    )
    return f"[{', '.join(ranges)}]"


def _without(piece: Box, box: Box) -> Iterator[Box]:
    """Cut a box out of a piece, axis by axis, and yield what is left of the piece."""
    common = meeting(piece, box)
    if common is None:
        yield piece
        return
    for axis, ((begin, end), (a, b)) in enumerate(zip(piece, common, strict=True)):
        head, tail = common[:axis], piece[axis + 1 :]
        if begin < a:
            yield (*head, (begin, a), *tail)
        if b < end:
            yield (*head, (b, end), *tail)
