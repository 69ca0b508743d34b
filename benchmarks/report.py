"""The figures as Markdown tables, for the terminal and for the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import (
    MIB,
    Figures,
    Target,
    extrapolated_tutorial_s,
    item_figures,
    targets,
)

BEGIN_MARK = "<!-- benchmark tables: begin -->"
END_MARK = "<!-- benchmark tables: end -->"
ABSENT = "-"
SECONDS_PER_HOUR = 3600


def render(results: Mapping[str, Any]) -> str:
    """All tables, with a line about the machine."""
    figures = item_figures(results)
    return "\n\n".join(
        (
            _machine_line(results),
            "**Wall time**, seconds, median",
            _time_table(results, figures),
            "**CPU time**, seconds, user and system, median",
            _cpu_table(figures),
            "**Peak memory**, MiB, largest of the repeats",
            _memory_table(figures),
            "**Targets**",
            _target_table(targets(results)),
        )
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(headers) + " |"]
    lines.append("| --- |" + " ---: |" * (len(headers) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def insert_tables(document: Path, results: Mapping[str, Any]) -> None:
    """Put the tables between the two marks in `document` (see `insert_between`)."""
    insert_between(document, (BEGIN_MARK, END_MARK), render(results))


def insert_between(document: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between two marks in `document` by `text`.

    Raises:
        ValueError: the marks are not there, once each.
    """
    begin, end = marks
    before = document.read_text(encoding="utf-8")
    if before.count(begin) != 1 or before.count(end) != 1:
        raise ValueError(
            f"{document} does not hold {begin} and {end} once each. "
            "The tables go between these two lines: add them."
        )
    head, rest = before.split(begin)
    tail = rest.split(end)[1]
    document.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")


def _machine_line(results: Mapping[str, Any]) -> str:
    machine, idle = results["machine"], results["idle"]
    parts = [
        f"{machine['processor']}, {machine['cores']} cores",
        f"{machine['memory_bytes'] / MIB:,.0f} MiB of memory",
        *(
            f"`import {module}` alone: {_seconds(min(run['wall_s']))} s at best, "
            f"{max(run['peak_memory_bytes']) / MIB:.0f} MiB"
            for module, run in idle.items()
        ),
    ]
    return "; ".join(parts) + "."


def _seconds(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _wall(figures: Figures, *runs: str) -> str:
    return _seconds(figures.wall_s(*runs)) if figures.has(*runs) else ABSENT


def _proof_cost(figures: Figures) -> str:
    if not figures.has("pipeline", "pipeline with proof"):
        return ABSENT
    return _seconds(figures.wall_s("pipeline with proof") - figures.wall_s("pipeline"))


def _tutorial_wall(results: Mapping[str, Any], figures: Figures) -> str:
    if figures.has("tutorial 1", "tutorial 2"):
        return _wall(figures, "tutorial 1", "tutorial 2")
    expected_s = extrapolated_tutorial_s(results, figures.facts["tensors"])
    if expected_s is None:
        return ABSENT
    return f"not run; extrapolated {expected_s / SECONDS_PER_HOUR:.0f} h"


def _repeats(figures: Figures) -> str:
    counts = sorted({len(run["wall_s"]) for run in figures.runs.values()})
    return " or ".join(str(count) for count in counts)


def _time_table(results: Mapping[str, Any], all_figures: Sequence[Figures]) -> str:
    headers = ["checkpoint", "tutorial, both scripts", "pipeline without proof", "its proof"]
    headers += ("stage 1", "stage 2", "`cp`", "`cp`, `sync`", "SHA-256", "repeats")
    return table(
        headers,
        [
            (
                figures.name,
                _tutorial_wall(results, figures),
                _wall(figures, "pipeline"),
                _proof_cost(figures),
                _wall(figures, "stage 1"),
                _wall(figures, "stage 2"),
                _wall(figures, "cp"),
                _wall(figures, "cp and sync"),
                _wall(figures, "sha256"),
                _repeats(figures),
            )
            for figures in all_figures
        ],
    )


def _cpu(figures: Figures, *runs: str) -> str:
    return _seconds(figures.cpu_s(*runs)) if figures.has(*runs) else ABSENT


def _cpu_table(all_figures: Sequence[Figures]) -> str:
    headers = ["checkpoint", "tutorial, both scripts", "pipeline without proof"]
    headers += ("pipeline with proof", "stage 1", "stage 2", "`cp`")
    columns: list[tuple[str, ...]] = [("tutorial 1", "tutorial 2"), ("pipeline",)]
    columns += [("pipeline with proof",), ("stage 1",), ("stage 2",), ("cp",)]
    rows = [(item.name, *(_cpu(item, *runs) for runs in columns)) for item in all_figures]
    return table(headers, rows)


def _peak(figures: Figures, run: str) -> str:
    return f"{figures.peak_bytes(run) / MIB:,.0f}" if figures.has(run) else ABSENT


def _memory_table(all_figures: Sequence[Figures]) -> str:
    runs = ["tutorial 1", "stage 1", "stage 1 with reference", "tutorial 2", "stage 2"]
    runs += ("stage 2 with proof", "pipeline", "pipeline with proof")
    return table(
        ("checkpoint", "weights", "largest tensor", *runs),
        [
            (
                figures.name,
                f"{figures.facts['model_bytes'] / MIB:,.1f}",
                f"{figures.facts['largest_bytes'] / MIB:,.1f}",
                *(_peak(figures, run) for run in runs),
            )
            for figures in all_figures
        ],
    )


def _target_table(all_targets: Sequence[Target]) -> str:
    rows = [
        (
            f"{target.what} ({target.item})",
            _amount(target.measured, target.unit),
            _amount(target.limit, target.unit),
            "met" if target.is_met else "**missed**",
        )
        for target in all_targets
    ]
    return table(("target", "measured", "limit", ""), rows)


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} MiB" if unit == "MiB" else f"{_seconds(value)} {unit}"
