"""Tries damaged files of every format on both stages; `make fuzz` runs this.

    python -m tests.fuzz.run [--seconds 600] [--group NAME] [--first NUMBER] [--write]

The property: each input ends in success or in an error of its own class, within seconds, in little
more memory, and leaves nothing behind. What breaks it is kept in tests/fuzz/findings. Input NUMBER
is the same in each run; --first goes on where another one has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from orchestration.environments import Recipe, make_environment, recipe_for
from orchestration.runtimes.base import Stage
from orchestration.settings import RuntimeOptions
from tests.fuzz.target import DONE
from tests.fuzz.worker import RUN

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = Path(__file__).resolve().parent / "findings"

GROUPS: Mapping[str, tuple[str, str]] = {
    "TensorFlow": ("extract", "worker"),
    "pure": ("load", "worker"),
    "stage 2": ("load", "worker"),
    "coverage": ("fuzz", "guided"),
    "structure": ("fuzz", "guided"),
}
"""What is fuzzed by one process each: its environment (a lock in tests/), and the program."""

MOST_WAIT_S = 120.0
"""Without a word a worker is taken for hung. What computes for too long it tells by itself."""

_MOST_START_S = 600.0
_MOST_ERROR_BYTES = 2000


@dataclass
class Tally:
    """What became of the inputs of one group.

    Attributes:
        outcomes: target -> outcome -> inputs.
        findings: one text each.
        next_number: the first input that was not tried.
        left_s: how long inputs are still to be tried; the start of a process does not count.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    findings: list[str] = field(default_factory=list)
    next_number: int = 0
    left_s: float = 0.0


class Worker:
    """A process that tries inputs, watched.

    Args:
        command: starts it; it runs in the repository's root.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        self._lines: queue.Queue[str | None] = queue.Queue()
        output = self._process.stdout
        self._listener = threading.Thread(target=self._listen, args=(output,), daemon=True)
        self._listener.start()

    def _listen(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def next_line(self, timeout_s: float) -> dict[str, Any] | None:
        """What it says next; None when it has ended.

        Raises:
            queue.Empty: it says nothing for so long.
        """
        line = self._lines.get(timeout=timeout_s)
        return None if line is None else dict(json.loads(line))

    def end(self) -> int:
        """End the process if it lives; gives its exit code."""
        self._process.kill()
        self._listener.join()
        self._errors.close()
        return self._process.wait()

    def errors(self) -> str:
        """The end of what it wrote on its standard error output."""
        size_bytes = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size_bytes - _MOST_ERROR_BYTES))
        return self._errors.read().decode("utf-8", "replace")

    def exit_code(self) -> int:
        """Wait for a process that has closed its output."""
        return self._process.wait()


def fuzz_group(group: str, python: Path, samples: Path, first: int, seconds: float) -> Tally:
    """Try inputs for so many seconds."""
    tally = Tally(next_number=first, left_s=seconds)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        while tally.left_s > 0:
            arguments = [group, os.fspath(samples), scratch, os.fspath(FINDINGS)]
            program = f"tests.fuzz.{GROUPS[group][1]}"
            command = [os.fspath(python), "-m", program, *arguments]
            worker = Worker([*command, str(tally.next_number)])
            try:
                watch(worker, tally, Path(scratch))
            finally:
                worker.end()
            for left in Path(scratch).iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return tally


def watch(worker: Worker, tally: Tally, scratch: Path) -> None:
    """Hear one worker until it ends, hangs, or the time is over."""
    begun = worker.next_line(_MOST_START_S)
    started_s, left_s = time.monotonic(), tally.left_s
    while tally.left_s > 0:
        try:
            said = worker.next_line(MOST_WAIT_S) if begun else None
        except queue.Empty:
            _keep(tally, scratch, begun, f"said nothing for {MOST_WAIT_S:g} s")
            return
        finally:
            tally.left_s = left_s - (time.monotonic() - started_s)
        if said is None:
            how = f"ended the process with {worker.exit_code()}: {worker.errors()}"
            _keep(tally, scratch, begun, how)
            return
        if "begin" in said:
            begun = said
            continue
        tally.next_number = said["end"] + 1
        if "finding" in said:
            tally.findings.append(f"{said['target']} {said['end']}: {said['finding']}")
        tally.outcomes[said["target"]][said.get("outcome", "finding")] += 1


def _keep(tally: Tally, scratch: Path, begun: Mapping[str, Any] | None, how: str) -> None:
    """Keep the input that ended, or stopped, a process.

    Raises:
        RuntimeError: no input had been begun.
    """
    if begun is None:
        raise RuntimeError(f"the worker {how} before its first input")
    name = f"{begun['target']} {begun['begin']}"
    kept = FINDINGS / name.replace("/", "_")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(scratch / RUN, kept, symlinks=True)
    tally.findings.append(f"{name}: it {how}")
    tally.outcomes[begun["target"]]["finding"] += 1
    tally.next_number = begun["begin"] + 1


def fuzz(groups: Sequence[str], seconds: float, first: int) -> Mapping[str, Tally]:
    """Fuzz groups beside each other."""
    FINDINGS.mkdir(exist_ok=True)
    needed = {"extract", *(GROUPS[group][0] for group in groups)}
    pythons = {environment: _python(environment) for environment in sorted(needed)}
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="samples-") as folder:
        program = ROOT / "tests" / "fuzz" / "samples.py"
        subprocess.run([pythons["extract"], program, folder], cwd=ROOT, check=True)

        def work(group: str) -> None:
            python = pythons[GROUPS[group][0]]
            tallies[group] = fuzz_group(group, python, Path(folder), first, seconds)

        threads = [threading.Thread(target=work, args=(group,), daemon=True) for group in groups]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    missing = set(groups) - tallies.keys()
    if missing:
        raise RuntimeError(f"not fuzzed to the end: {', '.join(sorted(missing))}")
    return tallies


def _python(environment: str) -> Path:
    """The interpreter of an environment made from tests/requirements-ENVIRONMENT.txt."""
    lock = ROOT / "tests" / f"requirements-{environment}.txt"
    stage: Stage = "extract" if environment == "extract" else "load"
    recipe = Recipe(stage, lock, recipe_for(stage, "cpu").extra_index)
    return make_environment(recipe, RuntimeOptions(), os.environ, print)


def show(tallies: Mapping[str, Tally]) -> None:
    """Print how many inputs each target had, and how they ended."""
    for tally in tallies.values():
        for target, outcomes in sorted(tally.outcomes.items()):
            ends = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common(6))
            print(f"{target:<32}{outcomes.total():>7}  {ends}")
    for tally in tallies.values():
        for finding in tally.findings:
            print(f"FINDING {finding}")


def main() -> int:
    """Command line; 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--group", choices=[*GROUPS], action="append")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into results.json and the README")
    arguments = parser.parse_args()
    tallies = fuzz(arguments.group or [*GROUPS], arguments.seconds, arguments.first)
    show(tallies)
    if arguments.write:
        from tests.fuzz.table import write_results

        counted = {t: dict(o) for tally in tallies.values() for t, o in tally.outcomes.items()}
        write_results(arguments.seconds, counted, DONE)
    return 1 if any(tally.findings for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
