"""Every check of the repository, each part under the Python it is made for; `make test` runs this.

    python tests/run.py [PART ...] [-- PYTEST ARGUMENT ...]

Environments that are missing are made from the locks in tests/. What cannot run on this machine is
left out, and the summary says what and why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.fspath(ROOT))

from orchestration.engine_access import open_engine  # noqa: E402
from orchestration.environments import Recipe, make_environment, recipe_for  # noqa: E402
from orchestration.errors import LegacyPythonMissing, OrchestrationError  # noqa: E402
from orchestration.images import find_image  # noqa: E402
from orchestration.runtimes.base import Stage  # noqa: E402
from orchestration.settings import RuntimeOptions  # noqa: E402
from tests.locked_environments import PythonMissing  # noqa: E402
from tests.pure_environments import VERSIONS, make_pure_environment  # noqa: E402

CONTAINER_PARTS = frozenset({"host", "end_to_end"})
# The lowest that mypy still knows; the real 3.7 compiles the sources besides.
MYPY_LOWEST = "3.10"
# mypy follows their imports; those of a stage's packages resolve in one environment only.
BENCHMARKS_OF_THE_HOST = (
    "benchmarks/__main__.py",
    "benchmarks/archive.py",
    "benchmarks/batch.py",
    "benchmarks/demo/__main__.py",
    "benchmarks/demo/report_picture.py",
    "benchmarks/demo/terminal_picture.py",
)
BENCHMARKS_OF_THE_STAGES = (
    "benchmarks/matching.py",
    "benchmarks/models.py",
    "benchmarks/fixtures/__main__.py",
    "benchmarks/demo/predict.py",
    "benchmarks/demo/train.py",
    "benchmarks/tutorial/load_transpose.py",
)
# One process a core, each with whole files: their fixtures are made once.
SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=8", "--dist=loadfile")
SLOWEST = "--durations=15"
# Compiles in memory: nothing is written beside the sources.
COMPILE_PROGRAM = """
import pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
    compile(path.read_bytes(), str(path), "exec")
"""


class LeftOut(Exception):
    """A part cannot run on this machine; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """How one part ended: "passed", "FAILED" or "left out", and what there is to say of it."""

    name: str
    state: str
    detail: str
    wall_s: float


class Checks:
    """The parts, each a method that raises CalledProcessError when it fails.

    Args:
        pytest_arguments: handed on to every pytest.
        containers: start real ones too.
    """

    def __init__(self, pytest_arguments: Sequence[str], containers: bool) -> None:
        self._pytest_arguments = list(pytest_arguments)
        self._containers = containers

    def lint(self) -> None:
        """ruff over everything, mypy over each part with what its imports resolve to."""
        ruff = [sys.executable, "-m", "ruff"]
        mypy = [sys.executable, "-m", "mypy"]
        load_python = os.fspath(self._python("load"))
        run(
            [*ruff, "check", "."],
            [*ruff, "format", "--check", "."],
            [*mypy, "orchestrate.py", "orchestration"],
            [*mypy, "--python-version", MYPY_LOWEST, "--no-site-packages", "stage_extract"],
            [*mypy, "--python-executable", load_python, "stage_load"],
            [*mypy, *BENCHMARKS_OF_THE_HOST],
            [*mypy, "--python-executable", load_python, *BENCHMARKS_OF_THE_STAGES],
        )

    def legacy_syntax(self) -> None:
        """stage_extract by a real CPython 3.7: newer syntax slips through every other check."""
        run([os.fspath(self._python("extract")), "-c", COMPILE_PROGRAM, "stage_extract"])

    def extract(self) -> None:
        """stage_extract, beside TensorFlow 1.15."""
        self._pytest(self._python("extract"), ["tests/extract"])

    def pure(self) -> None:
        """stage_extract without TensorFlow, under the oldest and newest Pythons that it runs on."""
        missing = []
        pythons = []
        for version in VERSIONS:
            try:
                pythons.append(make_pure_environment(version, os.environ, say))
            except PythonMissing as reason:
                missing.append(str(reason))
        arguments = ["-m", "pytest", "tests/pure", *self._pytest_arguments]
        run(*([os.fspath(python), *arguments] for python in pythons))
        if missing:
            raise LeftOut(f"{len(pythons)} of {len(VERSIONS)} passed; {' '.join(missing)}")

    def load(self) -> None:
        """stage_load, beside torch."""
        self._pytest(self._python("load"), ["tests/load"])

    def host(self) -> None:
        """The host side alone, and the contract between the stages."""
        # They look at all of the engine's containers, and at signals.
        self._host_pytest(["tests/orchestration", "tests/contract", "--numprocesses=0"])

    def end_to_end(self) -> None:
        """Real conversions by the command line."""
        self._host_pytest(["tests/end_to_end"])

    def _host_pytest(self, folders: Sequence[str]) -> None:
        options = ["--run-docker"] if self._containers else []
        self._pytest(Path(sys.executable), [*folders, *options])

    def _pytest(self, python: Path, arguments: Sequence[str]) -> None:
        command = [os.fspath(python), "-m", "pytest", *SIDE_BY_SIDE, SLOWEST, *arguments]
        run([*command, *self._pytest_arguments])

    def _python(self, stage: Stage) -> Path:
        lock = ROOT / "tests" / f"requirements-{stage}.txt"
        recipe = Recipe(stage, lock, recipe_for(stage, "cpu").extra_index)
        try:
            return make_environment(recipe, RuntimeOptions(), os.environ, say)
        except LegacyPythonMissing as error:
            raise LeftOut(f"{error.happened} {error.remedy}") from error


def why_no_containers() -> str | None:
    """None when both images are there and current, else what is missing."""
    try:
        engine = open_engine()
        try:
            for stage in ("extract", "load"):
                find_image(engine, stage)
        finally:
            engine.close()
    except OrchestrationError as error:
        return f"{error.happened} {error.remedy}"
    return None


def run(*commands: Sequence[str]) -> None:
    """Run commands in the repository's root, showing each and what it says.

    Raises:
        CalledProcessError: of the first that failed, after all of them ran.
    """
    failures = []
    for command in commands:
        say(f"$ {' '.join(command).strip()}")
        answer = subprocess.run(command, cwd=ROOT, check=False)
        if answer.returncode != 0:
            failures.append(subprocess.CalledProcessError(answer.returncode, command))
    if failures:
        raise failures[0]


def say(line: str) -> None:
    """Print a line at once, in order with what child processes print."""
    print(line, flush=True)


def check(name: str, part: Callable[[], None]) -> Outcome:
    """Run one part and note how it ended."""
    say(f"\n==== {name}: {part.__doc__}")
    started_s = time.monotonic()
    try:
        part()
        state, detail = "passed", ""
    except LeftOut as reason:
        state, detail = "left out", str(reason)
    except subprocess.CalledProcessError as error:
        state, detail = "FAILED", f"exit code {error.returncode}"
    except OrchestrationError as error:
        state, detail = "FAILED", str(error)
    return Outcome(name, state, detail, time.monotonic() - started_s)


def main(argv: Sequence[str]) -> int:
    """Run the parts named, or all; 0 when none failed."""
    names = ("lint", "legacy_syntax", "extract", "pure", "load", "host", "end_to_end")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}")
    split = list(argv).index("--") if "--" in argv else len(argv)
    parts = parser.parse_args(argv[:split]).parts or list(names)
    unknown = set(parts) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    without_containers = why_no_containers()
    checks = Checks(argv[split + 1 :], containers=without_containers is None)
    outcomes = [check(name, getattr(checks, name)) for name in parts]
    say("\n==== Summary")
    for outcome in outcomes:
        detail = f"  ({outcome.detail})" if outcome.detail else ""
        say(f"{outcome.name:<15}{outcome.state:<10}{outcome.wall_s:6.0f} s{detail}")
    if without_containers and not CONTAINER_PARTS.isdisjoint(parts):
        say(f"Left out: all tests with real containers. {without_containers}")
    failed = [outcome.name for outcome in outcomes if outcome.state == "FAILED"]
    say(f"FAILED: {', '.join(failed)}" if failed else "Everything that could run here passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
