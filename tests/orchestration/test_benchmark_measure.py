"""The figures are only worth what the harness is: it must see time, CPU, memory and failures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.measure import (
    MeasuredCommandFailed,
    Measurement,
    measure,
    process_tree,
    resident_bytes,
)

MIB = 1 << 20
BIG = 150 * MIB
HOLD = f"block = bytearray({BIG}); import time; time.sleep(0.3)"
NAP = "import time; time.sleep(0.25)"
BURN = "import time\nwhile time.process_time() < 0.25: pass"
IN_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"

Measure = Callable[..., Measurement]


@pytest.fixture
def measure_python(tmp_path: Path) -> Measure:
    def run(*arguments: str, stdin: str = "") -> Measurement:
        command = [sys.executable, "-S", "-c", *arguments]
        return measure(command, environment=os.environ, cwd=tmp_path, stdin=stdin)

    return run


def test_wall_time_counts_sleep_and_cpu_time_does_not(measure_python: Measure) -> None:
    measurement = measure_python(NAP)
    assert measurement.wall_s >= 0.25
    assert measurement.cpu_s < measurement.wall_s


@pytest.mark.parametrize(
    "arguments",
    [pytest.param([BURN], id="itself"), pytest.param([IN_CHILD, BURN], id="child")],
)
def test_cpu_time_is_that_of_the_whole_tree(measure_python: Measure, arguments: list[str]) -> None:
    assert measure_python(*arguments).cpu_s >= 0.25


@pytest.mark.parametrize(
    "arguments",
    [pytest.param([HOLD], id="itself"), pytest.param([IN_CHILD, HOLD], id="child")],
)
def test_peak_memory_is_that_of_the_whole_tree(
    measure_python: Measure, arguments: list[str]
) -> None:
    idle = measure_python(NAP)
    measurement = measure_python(*arguments)
    # A zeroed bytearray is only resident where it was touched, and bytearray touches all of it.
    assert measurement.peak_memory_bytes >= BIG
    assert measurement.peak_anonymous_bytes >= BIG
    assert measurement.peak_memory_bytes > idle.peak_memory_bytes + BIG // 2


def test_the_memory_of_who_measures_is_not_the_commands(measure_python: Measure) -> None:
    held = bytearray(BIG)
    assert measure_python(NAP).peak_memory_bytes < len(held)


def test_mapped_files_count_as_memory_but_not_as_anonymous(
    measure_python: Measure, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * BIG)
    program = (
        "import mmap, sys, time; file = open(sys.argv[1], 'rb');"
        "view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ);"
        "sum(view[at] for at in range(0, len(view), 4096)); time.sleep(0.3)"
    )
    measurement = measure_python(program, str(path))
    assert measurement.peak_memory_bytes >= BIG
    assert measurement.peak_anonymous_bytes < BIG


def test_events_are_kept_with_their_time(measure_python: Measure) -> None:
    program = (
        "print('text'); print('{\"event\":\"ready\"}', flush=True);"
        'import time; time.sleep(0.2); print(\'{"event":"done","job":"1"}\')'
    )
    events = measure_python(program).events
    assert set(events) == {"ready", "done"}
    assert events["done"]["job"] == "1"
    assert events["done"]["at_s"] >= events["ready"]["at_s"] + 0.2


def test_standard_input_reaches_the_command(measure_python: Measure) -> None:
    measure_python("import sys; sys.exit(sys.stdin.read() != 'a line\\n')", stdin="a line\n")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param("import sys; sys.exit(7)", "7", id="exit-code"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "-9", id="signal"),
    ],
)
def test_a_failing_command_is_no_measurement(
    measure_python: Measure, program: str, code: str
) -> None:
    program = f"import sys; print('last words', file=sys.stderr); sys.stderr.flush(); {program}"
    with pytest.raises(MeasuredCommandFailed, match=rf"Exit code {code} (.|\n)*last words"):
        measure_python(program)


def test_a_process_that_has_ended_counts_as_nothing() -> None:
    """The sampler meets one at almost every end; it must go on."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    assert process_tree(process.pid) == [process.pid]
    assert resident_bytes(process.pid) == (0, 0)
