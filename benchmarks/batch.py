"""Measure a batch of small checkpoints beside the single command in a loop.

Run as `python -m benchmarks.batch` from the repository's root. Prints Markdown tables on standard
output, writes every figure to a JSON file, and asserts nothing: what falls short is printed as
missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import environment_pythons, machine, say
from benchmarks.batch_report import BEGIN_MARK, END_MARK, render
from benchmarks.batch_runs import (
    ENDLESS,
    make_fleet,
    measure_batch,
    measure_many,
    measure_single,
    rows_of,
    sample_of,
    write_rows,
)
from benchmarks.batch_starts import measure_starts
from benchmarks.measure import MeasuredCommandFailed
from benchmarks.report import insert_between
from benchmarks.runs import REPOSITORY
from orchestration.errors import OrchestrationError

# Single commands of each kind.
EACH, QUICK_EACH = 2, 1
TINY, QUICK_TINY = 1000, 100
QUICK_ITEMS = 40
PROOFS = (("with proof", True), ("without proof", False))
# Longer than any run: the workers at the end are those of the beginning.
NEVER = 1_000_000


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--results", type=Path, help="JSON file (default: batch.json in --work)")
    parser.add_argument("--work", type=Path, default=REPOSITORY / ".bench", help="scratch folder")
    parser.add_argument("--render", action="store_true", help="measure nothing, show --results")
    parser.add_argument("--into", type=Path, help="also put the tables into this Markdown file")
    return parser.parse_args(argv)


def measure_all(work: Path, is_quick: bool) -> dict[str, Any]:
    """Every figure."""
    python = environment_pythons().extract
    count = QUICK_TINY if is_quick else TINY
    fleet, tiny = work / "fixtures" / "fleet", work / "fixtures" / f"tiny-items-{count}"
    (work / "fixtures").mkdir(parents=True, exist_ok=True)
    say("Checkpoints")
    make_fleet(python, fleet)
    make_fleet(python, tiny, count)
    every = rows_of(fleet / "items.csv")
    ending = [row for row in every if row["name"] != ENDLESS]
    rows = ending[:: len(ending) // QUICK_ITEMS] if is_quick else ending
    items = write_rows(fleet / "measured.csv", rows)
    sample = list(sample_of(every, QUICK_EACH if is_quick else EACH))
    scratch = work / "scratch"
    results: dict[str, Any] = {"machine": machine(), "batch": {}, "single": {}, "many": []}
    for name, prove in PROOFS:
        say(f"Single commands {name}: {len(sample)}")
        results["single"][name] = measure_single(items, sample, scratch, prove)
        say(f"Batch {name}: {len(rows)} items")
        results["batch"][name] = measure_batch(items, len(rows), scratch, prove)
    for recycle_after in (200, NEVER) if not is_quick else (200,):
        say(f"{count:,} small items, new workers after {recycle_after:,}")
        results["many"].append(measure_many(tiny / "items.csv", count, scratch, recycle_after))
    say("Starts of each runtime")
    results["starts"] = measure_starts(tiny / "tiny-0000", say)
    return results


def main(argv: Sequence[str]) -> int:
    """Measure or read, then print."""
    arguments = parse_arguments(argv)
    work: Path = arguments.work.resolve()
    path = arguments.results or work / "batch.json"
    try:
        if not arguments.render:
            results = measure_all(work, arguments.quick)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            say(f"every figure: {path}")
        tables = render(json.loads(path.read_text(encoding="utf-8")))
        print(tables)
        if arguments.into is not None:
            insert_between(arguments.into, (BEGIN_MARK, END_MARK), tables)
    except (MeasuredCommandFailed, OrchestrationError, ValueError, FileNotFoundError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
