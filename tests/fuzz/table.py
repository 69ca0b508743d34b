"""The README's table of inputs tried, from the figures that a run has written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
README = _HERE.parents[1] / "README.md"
RESULTS = _HERE / "results.json"
BEGIN, END = "<!-- fuzz table: begin -->", "<!-- fuzz table: end -->"
FINDING = "finding"


def write_results(seconds: float, outcomes: Mapping[str, Mapping[str, int]], done: str) -> None:
    """Write what was counted, and put the table into the README.

    Args:
        seconds: how long each group was fuzzed.
        outcomes: target -> outcome -> inputs.
        done: the outcome of an input that is read.
    """
    targets = {
        name: {
            "read": ends.get(done, 0),
            "refused": sum(n for end, n in ends.items() if end not in (done, FINDING)),
            "findings": ends.get(FINDING, 0),
        }
        for name, ends in sorted(outcomes.items())
    }
    document = {"seconds": seconds, "targets": targets}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(inserted(text, table(document)), encoding="utf-8")


def table(document: Mapping[str, Any]) -> str:
    """The table in Markdown: a line a target, and their sum."""
    lines = ["| what | inputs | read | refused | findings |", "| --- | ---: | ---: | ---: | ---: |"]
    targets = document["targets"]
    lines += [_line(name, counts) for name, counts in targets.items()]
    sums = {key: sum(counts[key] for counts in targets.values()) for key in _KEYS}
    lines.append(_line("all", sums))
    return "\n".join(lines)


_KEYS = ("read", "refused", "findings")


def _line(name: str, counts: Mapping[str, int]) -> str:
    cells = [sum(counts[key] for key in _KEYS), *(counts[key] for key in _KEYS)]
    return f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


def inserted(text: str, new: str) -> str:
    """`text` with `new` between the marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{BEGIN} and {END} are not in {README.name}")
    return f"{before}{BEGIN}\n{new}\n{END}{after}"
