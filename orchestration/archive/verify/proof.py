"""The proof, made again, against the one that was put away: the verdict, and every number of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from orchestration.archive.layout import RESULT
from orchestration.archive.verify.file_differences import difference
from orchestration.archive.verify.verdicts import Fault
from orchestration.strict_json import decode_json

REPORT: Final = "report.json"
PAGE: Final = "report.html"
# What follows from where the proof was made, and says nothing of what was proven.
_OF_THE_MACHINE: Final = frozenset({"device", "provenance.versions"})
# Where two numbers are nearly equal, which of them is the worst is chance; and so are words that
# hold such numbers.
_OF_CHANCE: Final = frozenset({"worst", "worst_index", "expected", "actual", "reason", "causes"})
_MOST_NAMED: Final = 5
_MOST_REPORT_BYTES: Final = 256 << 20


def report_faults(
    archived: Path, remade: Path, tolerance: float, *, is_exact: bool
) -> Iterator[Fault]:
    """What report.json and report.html tell otherwise than the proof that was made now.

    Args:
        archived: the result in the bag.
        remade: what stage 2 has made now.
        tolerance: numbers may differ by so much of their scale.
        is_exact: unless they may not differ at all, the libraries' versions being equal.
    """
    try:
        first, second = (_read(folder / REPORT) for folder in (archived, remade))
    except (OSError, ValueError) as error:
        yield Fault(f"{RESULT}/{REPORT}", "malformed", f"it cannot be read: {error}")
        return
    places = list(_differences(first, second, "", tolerance, 1.0))
    changed = difference(archived / REPORT, remade / REPORT)
    if changed is not None and not places and is_exact and _versions_are_equal(first, second):
        places = [f"though computed alike, {changed}"]
    for place in places[:_MOST_NAMED]:
        yield Fault(f"{RESULT}/{REPORT}", "contradicted", place)
    if changed is None:
        page = difference(archived / PAGE, remade / PAGE)
        if page is not None:
            yield Fault(f"{RESULT}/{PAGE}", "contradicted", f"it is not made so any more: {page}")


def _read(path: Path) -> Any:
    if path.stat().st_size > _MOST_REPORT_BYTES:
        raise ValueError(f"it has {path.stat().st_size:,} bytes")
    return decode_json(path.read_bytes())


def _versions_are_equal(first: Any, second: Any) -> bool:
    """Whether two reports are by the same libraries; both have the same entries."""
    keys = ("provenance", "device")
    return all(isinstance(one, dict) for one in (first, second)) and all(
        first.get(key) == second.get(key) for key in keys
    )


def _differences(
    first: Any, second: Any, place: str, tolerance: float, scale: float
) -> Iterator[str]:
    """Places where two documents differ by more than the machine explains."""
    if place in _OF_THE_MACHINE:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            yield f"{place or 'it'} has other entries than now"
        yield from _of_objects(first, second, place, tolerance, _scale(first, scale))
    elif isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            yield f"{place} has {len(first)} entries, and now {len(second)}"
        for index, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from _differences(one, other, f"{place}[{index}]", tolerance, scale)
    elif not _are_near(first, second, tolerance * scale):
        yield f"{place} is {first!r:.120}, and now {second!r:.120}"


def _of_objects(
    first: Mapping[str, Any], second: Mapping[str, Any], place: str, tolerance: float, scale: float
) -> Iterator[str]:
    has_numbers_in_words = place.startswith("parity") or first.get("verdict") == "failed"
    for key in sorted(first.keys() & second.keys()):
        if has_numbers_in_words and key in _OF_CHANCE:
            continue
        inner = f"{place}.{key}" if place else key
        yield from _differences(first[key], second[key], inner, tolerance, scale)


def _scale(entry: Mapping[str, Any], outer: float) -> float:
    scale = entry.get("scale")
    return max(1.0, abs(scale)) if isinstance(scale, float) else outer


def _are_near(first: Any, second: Any, allowed: float) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= allowed
    return type(first) is type(second) and bool(first == second)
