"""Measure the conversion beside the tutorial's way.

Run as `python -m benchmarks` from the repository's root. Prints Markdown tables on standard output,
writes every repeat to a JSON file, and asserts nothing: what falls short is printed as missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Run, add_measurement
from benchmarks.items import Item, select_items
from benchmarks.measure import MeasuredCommandFailed, Measurement
from benchmarks.report import insert_tables, render
from benchmarks.runs import (
    NEEDS_GRAPH,
    REPOSITORY,
    RUNS,
    Pythons,
    Workplace,
    describe_export,
    idle_import,
    make_fixture,
    measure_matching,
)
from orchestration.environments import make_environment, recipe_for
from orchestration.errors import OrchestrationError
from orchestration.settings import RuntimeOptions

# A run this long is not repeated: noise is small against it.
LONG_RUN_S = 30.0
IDLE_REPEATS = 5


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("items", nargs="*", help="names of items (default: all)")
    parser.add_argument("--quick", action="store_true", help="the small items only, one repeat")
    parser.add_argument("--repeats", type=int, default=3, help="of runs below 30 s (default: 3)")
    parser.add_argument("--results", type=Path, help="JSON file (default: results.json in --work)")
    parser.add_argument("--work", type=Path, default=REPOSITORY / ".bench", help="scratch folder")
    parser.add_argument("--keep", action="store_true", help="keep the multi-gigabyte checkpoint")
    parser.add_argument("--render", action="store_true", help="measure nothing, show --results")
    parser.add_argument("--into", type=Path, help="also put the tables into this Markdown file")
    return parser.parse_args(argv)


def say(text: str) -> None:
    """Progress, for people: standard output holds the tables alone."""
    print(text, file=sys.stderr, flush=True)


def environment_pythons() -> Pythons:
    """The local runtime's two environments, made when they are not there."""
    options, environment = RuntimeOptions(name="local"), dict(os.environ)
    extract = make_environment(recipe_for("extract", "cpu"), options, environment, say)
    load = make_environment(recipe_for("load", "cpu"), options, environment, say)
    return Pythons(extract, load)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    }


def measure_idle(pythons: Pythons, scratch: Path, repeats: int) -> dict[str, Run]:
    """The bare imports; the first of each only warms the cache."""
    runs: dict[str, Run] = {}
    for module, python in (("tensorflow", pythons.extract), ("torch", pythons.load)):
        say(f"import {module}")
        idle_import(python, module, scratch)
        for _ in range(repeats):
            add_measurement(runs.setdefault(module, {}), idle_import(python, module, scratch))
    return runs


def check_space(item: Item, work: Path) -> None:
    """Raise MeasuredCommandFailed when the disk cannot hold what the item's runs write."""
    free_bytes = shutil.disk_usage(work).free
    if free_bytes < item.disk_bytes:
        raise MeasuredCommandFailed(
            f"{work} has {free_bytes:,} bytes left. {item.name} needs {item.disk_bytes:,}. "
            "Make room, name another folder with --work, or leave the item out."
        )


def measure_item(place: Workplace, repeats: int) -> dict[str, Any]:
    """All runs of one item, round by round, so that a noisy minute does not hit one run alone."""
    runs: dict[str, Run] = {}
    names = [name for name in RUNS if place.item.has_graph or name not in NEEDS_GRAPH]
    for repeat in range(repeats):
        for name in names:
            run = runs.setdefault(name, {})
            if repeat and run["wall_s"][0] > LONG_RUN_S:
                continue
            # What earlier runs wrote must not be flushed on this run's time.
            os.sync()
            measurement = RUNS[name](place)
            add_measurement(run, measurement)
            say(_progress_line(place.item, name, measurement))
    facts = describe_export(place.export / "variables.safetensors")
    return {"facts": {**facts, "file_bytes": place.data_file.stat().st_size}, "runs": runs}


def _progress_line(item: Item, run: str, measurement: Measurement) -> str:
    peak_mib = measurement.peak_memory_bytes / (1 << 20)
    return f"{item.name:12} {run:24} {measurement.wall_s:8.2f} s {peak_mib:8.0f} MiB"


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every selected item, one after the other."""
    items = select_items(arguments.items, arguments.quick)
    repeats = 1 if arguments.quick else arguments.repeats
    work: Path = arguments.work.resolve()
    (work / "fixtures").mkdir(parents=True, exist_ok=True)
    pythons = environment_pythons()
    idle = measure_idle(pythons, work / "scratch", 1 if arguments.quick else IDLE_REPEATS)
    say("matching, 2,005 tensors")
    matching = measure_matching(pythons.load, work / "scratch", repeats)
    results: dict[str, Any] = {
        "machine": machine(),
        "idle": idle,
        "matching": matching,
        "items": {},
    }
    for item in items:
        check_space(item, work)
        say(f"{item.name}: {item.description}")
        fixture = work / "fixtures" / item.name
        make_fixture(item, pythons.extract, fixture)
        place = Workplace(item, pythons, fixture, work / "scratch", work / "keeps")
        place.keeps.mkdir(exist_ok=True)
        # The first run ever compiles byte code and fills caches.
        RUNS["pipeline"](place)
        results["items"][item.name] = measure_item(place, repeats)
        shutil.rmtree(place.keeps)
        if item.is_large and not arguments.keep:
            shutil.rmtree(fixture)
    return results


def main(argv: Sequence[str]) -> int:
    """Measure or read, then print."""
    arguments = parse_arguments(argv)
    path = arguments.results or arguments.work / "results.json"
    try:
        if not arguments.render:
            results = measure_all(arguments)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            say(f"every repeat: {path}")
        results = json.loads(path.read_text(encoding="utf-8"))
        print(render(results))
        if arguments.into is not None:
            insert_tables(arguments.into, results)
    except (MeasuredCommandFailed, OrchestrationError, ValueError, FileNotFoundError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
