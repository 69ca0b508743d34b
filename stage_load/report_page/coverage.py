"""How much of both sides found its counterpart, as shares of two bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stage_load.layouts.rule import Constant
from stage_load.mapping import FROM_CONSTANT, FROM_GUESS, Row

MATCHED = "matched"
GUESSED = "guessed"
CONSTANT = "constant"
UNUSED = "unused"
MISSING = "missing"

_MEANINGS: Mapping[str, str] = {
    MATCHED: "matched",
    GUESSED: "guessed from names and shapes",
    CONSTANT: "constants and counters, for which TensorFlow has no variable",
    UNUSED: "unused, listed below with the reason",
    MISSING: "missing, left as the model was made",
}


@dataclass(frozen=True)
class Part:
    """One part of a bar; ``begin`` and ``share`` are hundredths of the bar's length."""

    name: str
    meaning: str
    count: int
    begin: float
    share: float


@dataclass(frozen=True)
class Bar:
    """A bar of parts that make up everything, in words as well."""

    title: str
    total: int
    parts: Sequence[Part]

    @property
    def in_words(self) -> str:
        """Everything that the bar shows."""
        parts = ", ".join(f"{part.count} {part.meaning}" for part in self.parts if part.count)
        return f"{self.title}, {self.total} in all: {parts or 'none'}"


def coverage_bars(coverage: Mapping[str, Any], rows: Sequence[Row]) -> tuple[Bar, Bar]:
    """Return the bar of TensorFlow's variables and the bar of the model's tensors.

    Args:
        coverage: as in ``report.json``.
        rows: the mapping.
    """
    loaded = {name: row.how for row in rows if row.torch_name for name in row.variables}
    sources = Counter(_of_how(how) for how in loaded.values())
    sources[UNUSED] = coverage["variables"] - len(loaded)
    # A tensor that several variables fill has as many rows; what the first says counts.
    filled = {row.torch_name: row for row in reversed(rows) if row.torch_name}
    targets = Counter(map(_of_row, filled.values()))
    return (
        _bar("TensorFlow's variables", sources, (MATCHED, GUESSED, UNUSED)),
        _bar("Tensors of the model", targets, (MATCHED, GUESSED, CONSTANT, MISSING)),
    )


def _of_row(row: Row) -> str:
    if row.tf_name:
        return _of_how(row.how)
    is_constant = row.how == FROM_CONSTANT or isinstance(row.rule, Constant)
    return CONSTANT if is_constant else MISSING


def _of_how(how: str) -> str:
    return GUESSED if how == FROM_GUESS else MATCHED


def _bar(title: str, counts: Mapping[str, int], names: Iterable[str]) -> Bar:
    total = sum(counts.values())
    parts: list[Part] = []
    begin = 0.0
    for name in names:
        count = counts.get(name, 0)
        share = 100 * count / total if total else 0.0
        parts.append(Part(name, _MEANINGS[name], count, begin, share))
        begin += share
    return Bar(title, total, tuple(parts))
