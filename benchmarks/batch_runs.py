"""The measured runs of a batch: warm workers, the single command in a loop, memory, restarts."""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasuredCommandFailed, process_tree, resident_bytes
from benchmarks.runs import REPOSITORY, emptied, stage_environment

PROGRAM = (sys.executable, os.fspath(REPOSITORY / "orchestrate.py"))
EXIT_SOME_FAILED = 3
JOBS = 2
# Its only end is the time limit that it is given.
ENDLESS = "endless"
SAMPLE_INTERVAL_S = 0.25
# A run is cut into as many pieces, and each has its own peak.
PIECES = 10
STARTS = 3
SINGLE_OPTIONS = ("model", "model_arg", "map", "rule")

Row = Mapping[str, str]


@dataclass(frozen=True)
class Timed:
    """One finished command: how long it took, and the CPU time of its whole process tree."""

    wall_s: float
    cpu_s: float


def run(arguments: Iterable[str | Path], cwd: Path, accepted: Sequence[int] = (0,)) -> Timed:
    """Run orchestrate.py once, and nothing else.

    Raises:
        MeasuredCommandFailed: it exited with a code that is not accepted.
    """
    command = [*PROGRAM, *(os.fspath(argument) for argument in arguments)]
    started_s = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, env=stage_environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accepted:
        raise MeasuredCommandFailed(
            f"Exit code {process.returncode} from: {' '.join(command)}. "
            f"One of {', '.join(map(str, accepted))} was expected. Run the command by hand."
        )
    return Timed(wall_s, usage.ru_utime + usage.ru_stime)


def make_fleet(python: Path, folder: Path, tiny: int | None = None) -> None:
    """Let TensorFlow write the fleet (or so many tiny checkpoints) unless it is there."""
    if folder.exists():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    with emptied(partial) as fresh:
        program = [os.fspath(python), "-s", "-W", "ignore", "-m", "tests.fleet.build"]
        more = [] if tiny is None else ["--tiny", str(tiny)]
        subprocess.run(
            [*program, fresh / "made", *more], cwd=REPOSITORY, env=stage_environment(), check=True
        )
        (fresh / "made").replace(folder)


def rows_of(items: Path) -> list[Row]:
    """The rows of an items file."""
    with items.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write an items file; its paths start from its own folder."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def batch_arguments(items: Path, out: Path, prove: bool) -> list[str | Path]:
    """Arguments of the batch that is measured."""
    options = ["--jobs", str(JOBS), "--runtime", "local", "--quiet"]
    return ["batch", items, "--out", out, *options, "--prove" if prove else "--no-prove"]


def measure_batch(items: Path, count: int, scratch: Path, prove: bool) -> dict[str, Any]:
    """All items by warm workers, from the start of the command to its end."""
    with emptied(scratch) as folder:
        arguments = batch_arguments(items, folder / "out", prove)
        timed = run(arguments, folder, accepted=(0, EXIT_SOME_FAILED))
        records = [
            json.loads(path.read_bytes())
            for path in (folder / "out" / "batch" / "ledger").glob("*.json")
        ]
    ended = sum(record["state"] in ("done", "failed") for record in records)
    if ended != count:
        raise MeasuredCommandFailed(f"{ended} of {count} items came to an end. Run it by hand.")
    return {"items": count, "wall_s": round(timed.wall_s, 2), "cpu_s": round(timed.cpu_s, 2)}


def measure_single(items: Path, rows: Sequence[Row], scratch: Path, prove: bool) -> dict[str, Any]:
    """The single command, once for each row, one after the other."""
    walls_s: list[float] = []
    cpus_s: list[float] = []
    with emptied(scratch) as folder:
        for number, row in enumerate(rows):
            out = folder / f"{number}"
            timed = run(single_arguments(items.parent, row, out, prove), folder)
            walls_s.append(round(timed.wall_s, 3))
            cpus_s.append(round(timed.cpu_s, 3))
            shutil.rmtree(out)
    return {"wall_s": walls_s, "cpu_s": cpus_s}


def single_arguments(folder: Path, row: Row, out: Path, prove: bool) -> list[str | Path]:
    """What a row says as arguments of the single command."""
    arguments: list[str | Path] = ["convert", folder / row["checkpoint"], "--out", out]
    arguments += ["--runtime", "local", "--quiet", "--prove" if prove else "--no-prove"]
    for option in SINGLE_OPTIONS:
        value = row.get(option) or ""
        if option == "model_arg" and value:
            for name, argument in json.loads(value).items():
                arguments += ["--model-arg", f"{name}={json.dumps(argument)}"]
        elif value:
            is_path = option == "map" or (option == "model" and ".py:" in value)
            arguments += [f"--{option}", folder / value if is_path else value]
    return arguments


class MemoryTrace(threading.Thread):
    """Samples the resident memory of a process tree, with the time of each sample.

    Attributes:
        samples: (seconds since the start, bytes).
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.samples: list[tuple[float, int]] = []

    def run(self) -> None:
        started_s = time.monotonic()
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            total = sum(resident_bytes(pid)[0] for pid in process_tree(self._pid))
            self.samples.append((time.monotonic() - started_s, total))

    def finish(self) -> None:
        """Take no more samples."""
        self._ended.set()
        self.join()


def pieces(samples: Sequence[tuple[float, int]], count: int = PIECES) -> list[int]:
    """The peak of each of `count` pieces of equal time; a piece without samples has 0."""
    end_s = samples[-1][0]
    peaks = [0] * count
    for at_s, size_bytes in samples:
        piece = min(count - 1, int(count * at_s / end_s))
        peaks[piece] = max(peaks[piece], size_bytes)
    return peaks


def measure_many(items: Path, count: int, scratch: Path, recycle_after: int) -> dict[str, Any]:
    """Many small items: memory in the course of time, then a restart and the status."""
    with emptied(scratch) as folder:
        out = folder / "out"
        arguments = batch_arguments(items, out, prove=True)
        arguments += ["--recycle-after", str(recycle_after)]
        command = [*PROGRAM, *(os.fspath(argument) for argument in arguments)]
        started_s = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=stage_environment())
        trace = MemoryTrace(process.pid)
        trace.start()
        code = process.wait()
        wall_s = time.monotonic() - started_s
        trace.finish()
        if code != 0:
            raise MeasuredCommandFailed(f"Exit code {code} from: {' '.join(command)}.")
        restarts = [run(arguments, folder).wall_s for _ in range(STARTS)]
        status: list[str | Path] = ["batch", items, "--out", out, "--status"]
        statuses = [run(status, folder).wall_s for _ in range(STARTS)]
    return {
        "items": count,
        "recycle_after": recycle_after,
        "wall_s": round(wall_s, 2),
        "peaks_bytes": pieces(trace.samples),
        "restart_s": round(statistics.median(restarts), 3),
        "status_s": round(statistics.median(statuses), 3),
    }


def sample_of(rows: Sequence[Row], each: int) -> Iterator[Row]:
    """So many good items of each kind, for the single command."""
    taken: dict[str, int] = {}
    for row in rows:
        if not row["checkpoint"].startswith("checkpoints/"):
            continue
        kind = kind_of(row)
        taken[kind] = taken.get(kind, 0) + 1
        if taken[kind] <= each:
            yield row


def kind_of(row: Row) -> str:
    """Kind of a good item's network: "unet" of `checkpoints/unet-03/…`."""
    parts = Path(row["checkpoint"]).parts
    return next(part for part in reversed(parts) if "-" in part[1:]).rpartition("-")[0]
