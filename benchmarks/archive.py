"""Measure how long a large result takes to be archived and checked, beside plain hashing.

Run as `python -m benchmarks.archive` from the repository's root. Prints Markdown tables on standard
output, writes every figure to a JSON file, and asserts nothing: what falls short is printed as
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.__main__ import environment_pythons, machine, say
from benchmarks.figures import MIB
from benchmarks.items import MODELS_FILE
from benchmarks.measure import MeasuredCommandFailed, Measurement, measure
from benchmarks.report import insert_between, table
from benchmarks.runs import REPOSITORY, emptied, stage_environment
from orchestration.errors import OrchestrationError

BEGIN_MARK = "<!-- archive tables: begin -->"
END_MARK = "<!-- archive tables: end -->"
# Of the time that both hash passes take, and of the whole process tree.
MOST_TIMES, MOST_MEMORY_BYTES = 2.0, 300 * 10**6
WIDTH = 5000
# Reads files in pieces, one hash after the other: what nobody can do without.
HASH_PROGRAM = """
import hashlib, sys
for path in sys.argv[2:]:
    digest = hashlib.new(sys.argv[1])
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
"""
HASHES = ("sha256", "sha512")
PROGRAM = (sys.executable, os.fspath(REPOSITORY / "orchestrate.py"))


@dataclass(frozen=True)
class Size:
    """How large the checkpoint is.

    Attributes:
        fixture: its name, see `benchmarks.fixtures`.
        layers: matrices of 100 MB; the result holds each twice, as TensorFlow's and as torch's.
    """

    fixture: str
    layers: int


FULL, QUICK = Size("dense-2gb", 20), Size("dense-100mb", 1)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 MB in place of 4 GB")
    parser.add_argument("--results", type=Path, help="JSON file (default: archive.json in --work)")
    parser.add_argument("--work", type=Path, default=REPOSITORY / ".bench", help="scratch folder")
    parser.add_argument("--render", action="store_true", help="measure nothing, show --results")
    parser.add_argument("--into", type=Path, help="also put the tables into this Markdown file")
    return parser.parse_args(argv)


@contextmanager
def converted(size: Size, work: Path) -> Iterator[Path]:
    """A folder with a checkpoint and, in `result`, what becomes of it; removed afterwards."""
    python = environment_pythons().extract
    with emptied(work / "archive") as folder:
        maker = ["-s", "-W", "ignore", "-m", "benchmarks.fixtures", size.fixture]
        environment = stage_environment()
        measure([python, *maker, folder / "ckpt"], environment=environment, cwd=REPOSITORY)
        model = ["--model", f"{MODELS_FILE}:DenseChain"]
        arguments = [f"--model-arg=layers={size.layers}", f"--model-arg=width={WIDTH}"]
        options: list[str | Path] = ["--runtime", "local", "--no-prove", "--out", folder / "result"]
        measure(
            [*PROGRAM, folder / "ckpt", *model, *arguments, *options],
            environment=environment,
            cwd=folder,
        )
        yield folder


def run_all(size: Size, work: Path) -> dict[str, Any]:
    """Archive as a folder and as one stream, check both, and hash the same bytes plainly."""
    runs: dict[str, Measurement] = {}
    with converted(size, work) as folder:
        result = folder / "result"
        size_bytes = sum(path.stat().st_size for path in result.rglob("*") if path.is_file())
        bag, stream = folder / "a.bag", folder / "a.bag.tar.zst"

        def run(name: str, *command: str | Path) -> None:
            say(name)
            runs[name] = measure(command, environment=stage_environment(), cwd=folder)

        run("archive, folder", *PROGRAM, "archive", result, "--bag", bag, "--quiet")
        payload = sorted(path for path in (bag / "data").rglob("*") if path.is_file())
        payload_bytes = sum(path.stat().st_size for path in payload)
        for name in HASHES:
            run(name, sys.executable, "-c", HASH_PROGRAM, name, *payload)
        run("verify, folder", *PROGRAM, "verify", bag, "--fixity-only", "--quiet")
        shutil.rmtree(bag)
        run("archive, .tar.zst", *PROGRAM, "archive", result, "--bag", stream, "--quiet")
        stream_bytes = stream.stat().st_size
        run("verify, .tar.zst", *PROGRAM, "verify", stream, "--fixity-only", "--quiet")
    figures = {
        name: {
            "wall_s": round(one.wall_s, 2),
            "cpu_s": round(one.cpu_s, 2),
            "peak_memory_bytes": one.peak_memory_bytes,
        }
        for name, one in runs.items()
    }
    sizes = {"result": size_bytes, "payload": payload_bytes, "stream": stream_bytes}
    return {"machine": machine(), "bytes": sizes, "runs": figures}


def passes_s(results: Mapping[str, Any]) -> float:
    """Wall time of reading everything once for each hash."""
    return float(sum(results["runs"][name]["wall_s"] for name in HASHES))


def render(results: Mapping[str, Any]) -> str:
    """The tables of what was measured, with a line about the machine and the sizes."""
    host, sizes = results["machine"], results["bytes"]
    hashed_s = passes_s(results)
    rows, targets = [], []
    for name, run in results["runs"].items():
        times, memory_bytes = run["wall_s"] / hashed_s, run["peak_memory_bytes"]
        shown = (f"{run['wall_s']:.1f}", f"{run['cpu_s']:.1f}", f"{memory_bytes / 10**6:,.0f}")
        rows.append((name, *shown, f"{times:.2f}"))
        if name not in HASHES:
            limits = (f"{MOST_TIMES:.0f}", _met(times <= MOST_TIMES))
            targets.append((f"{name}: times both hash passes", f"{times:.2f}", *limits))
            limits = (f"{MOST_MEMORY_BYTES / 10**6:.0f} MB", _met(memory_bytes < MOST_MEMORY_BYTES))
            measured = f"{memory_bytes / 10**6:,.0f} MB"
            targets.append((f"{name}: memory", measured, *limits))
    told = (
        f"{host['processor']}, {host['cores']} cores; {host['memory_bytes'] / MIB:,.0f} MiB of "
        f"memory. A result of {_megabytes(sizes['result'])}; the bag holds "
        f"{_megabytes(sizes['payload'])}, as `.tar.zst` {_megabytes(sizes['stream'])}."
    )
    headers = ("command", "wall, s", "CPU, s", "peak memory, MB", "times both hash passes")
    checked = table(("target", "measured", "limit", ""), targets)
    return "\n\n".join((told, table(headers, rows), "**Targets**", checked))


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**6:,.0f} MB"


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def main(argv: Sequence[str]) -> int:
    """Measure or read, then print."""
    arguments = parse_arguments(argv)
    work: Path = arguments.work.resolve()
    path = arguments.results or work / "archive.json"
    try:
        if not arguments.render:
            work.mkdir(parents=True, exist_ok=True)
            results = run_all(QUICK if arguments.quick else FULL, work)
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
