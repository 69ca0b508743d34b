"""Measure a batch of small checkpoints beside the single command in a loop.

Run as `python -m benchmarks.batch` from the repository's root. Prints Markdown tables on standard
output, writes every figure to a JSON file, and asserts nothing: what falls short is printed as
missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from orchestration.batch.settings import DEFAULT_RECYCLE_AFTER
from orchestration.errors import OrchestrationError

# Single commands of each kind.
EACH, QUICK_EACH = 2, 1
TINY, QUICK_TINY = 1000, 40
QUICK_ITEMS = 40
PROOFS = (("with proof", True), ("without proof", False))
# Longer than any run: the workers at the end are those of the beginning.
NEVER = 1_000_000
RECYCLE_AFTER = (DEFAULT_RECYCLE_AFTER, NEVER)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"of {', '.join(PARTS)} (default: all); what is not named stays as --results has it",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--results", type=Path, help="JSON file (default: batch.json in --work)")
    parser.add_argument("--work", type=Path, default=REPOSITORY / ".bench", help="scratch folder")
    parser.add_argument("--render", action="store_true", help="measure nothing, show --results")
    parser.add_argument("--into", type=Path, help="also put the tables into this Markdown file")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Place:
    """Where what is measured lies.

    Attributes:
        python: of stage 1's environment, which writes checkpoints.
        fixtures: folder of the checkpoints.
        scratch: for everything that runs write.
        is_quick: a tenth of everything.
    """

    python: Path
    fixtures: Path
    scratch: Path
    is_quick: bool

    @property
    def tiny_count(self) -> int:
        """How many small items."""
        return QUICK_TINY if self.is_quick else TINY

    def fleet(self) -> Path:
        """Folder of the fleet, made if need be."""
        make_fleet(self.python, self.fixtures / "fleet")
        return self.fixtures / "fleet"

    def tiny(self) -> Path:
        """Folder of the small items, made if need be."""
        folder = self.fixtures / f"tiny-items-{self.tiny_count}"
        make_fleet(self.python, folder, self.tiny_count)
        return folder


def measure_throughput(place: Place) -> dict[str, Any]:
    """The fleet as a batch, and some of it by the single command."""
    fleet = place.fleet()
    every = rows_of(fleet / "items.csv")
    ending = [row for row in every if row["name"] != ENDLESS]
    rows = ending[:: len(ending) // QUICK_ITEMS] if place.is_quick else ending
    items = write_rows(fleet / "measured.csv", rows)
    sample = list(sample_of(every, QUICK_EACH if place.is_quick else EACH))
    found: dict[str, Any] = {"batch": {}, "single": {}}
    for name, prove in PROOFS:
        say(f"Single commands {name}: {len(sample)}")
        found["single"][name] = measure_single(items, sample, place.scratch, prove)
        say(f"Batch {name}: {len(rows)} items")
        found["batch"][name] = measure_batch(items, len(rows), place.scratch, prove)
    return found


def measure_memory(place: Place) -> dict[str, Any]:
    """Many small items, with workers that are replaced and with workers that are not."""
    items, many = place.tiny() / "items.csv", []
    for recycle_after in (DEFAULT_RECYCLE_AFTER,) if place.is_quick else RECYCLE_AFTER:
        say(f"{place.tiny_count:,} small items, new workers after {recycle_after:,}")
        many.append(measure_many(items, place.tiny_count, place.scratch, recycle_after))
    return {"many": many}


def measure_runtimes(place: Place) -> dict[str, Any]:
    """The start of a stage by each runtime."""
    say("Starts of each runtime")
    return {"starts": measure_starts(place.tiny() / "tiny-0000", say)}


PARTS: Mapping[str, Callable[[Place], dict[str, Any]]] = {
    "throughput": measure_throughput,
    "memory": measure_memory,
    "starts": measure_runtimes,
}


def measure_parts(names: Sequence[str], work: Path, is_quick: bool, path: Path) -> None:
    """Measure parts, and write each into the JSON file as soon as it is known."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise ValueError(f"No part is called {', '.join(unknown)}. There are {', '.join(PARTS)}.")
    fixtures = work / "fixtures"
    fixtures.mkdir(parents=True, exist_ok=True)
    place = Place(environment_pythons().extract, fixtures, work / "scratch", is_quick)
    is_partial = bool(names) and path.is_file()
    results = json.loads(path.read_text(encoding="utf-8")) if is_partial else {}
    for name in names or PARTS:
        results.update(PARTS[name](place), machine=machine())
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main(argv: Sequence[str]) -> int:
    """Measure or read, then print."""
    arguments = parse_arguments(argv)
    work: Path = arguments.work.resolve()
    path = arguments.results or work / "batch.json"
    try:
        if not arguments.render:
            measure_parts(arguments.parts, work, arguments.quick, path)
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
