"""Podman for real, as root and as an ordinary user: isolation from inside, ends, leftovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.isolation_cases import HOSTILE_ENVIRONMENT, ISOLATION_CASES, MB
from tests.podman_people import PEOPLE, Person

REPOSITORY = Path(__file__).resolve().parents[2]
HOG = "x = bytearray(300 << 20)"
HOG_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"
CASES = [
    *ISOLATION_CASES,
    pytest.param(
        "write('/stage/x')",
        "OSError: [Errno 30] Read-only file system: '/stage/x'",
        id="root-is-read-only",
    ),
    pytest.param("writable_folders()", "['/out', '/tmp']", id="nothing-else-is-writable"),
    pytest.param(
        "executes('/tmp/x')",
        "PermissionError: [Errno 13] Permission denied: '/tmp/x'",
        id="nothing-in-scratch-can-be-executed",
    ),
    pytest.param(
        "sorted(set(os.environ) - {'HOSTNAME', 'LC_CTYPE'})",
        "['HOME', 'LANG', 'LOGNAME', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONNOUSERSITE', 'TERM',"
        " 'TMPDIR', 'USER', 'container']",
        id="every-variable",
    ),
    # The fourth is the folder that is being listed.
    pytest.param("os.listdir('/proc/self/fd')", "['0', '1', '2', '3']", id="no-file-held-open"),
    pytest.param(
        "[name for name in ('/etc/hosts', '/etc/resolv.conf') if os.path.exists(name)"
        " and os.path.getsize(name)]",
        "[]",
        id="no-name-of-another-machine",
    ),
    # Fills what the others need: the last one.
    pytest.param(
        f"write('/tmp/x', {300 * MB})",
        "OSError: [Errno 28] No space left on device",
        id="scratch-has-an-end",
    ),
]
CODES = [case.values[0] for case in CASES]


@pytest.fixture(scope="module")
def answers(person: Person) -> dict[str, str]:
    """What each expression yields, asked of one container after another in one go."""
    answer = person.python(
        "tests/podman_client.py", person.request(codes=CODES), **HOSTILE_ENVIRONMENT
    )
    told = json.loads(answer.stdout)
    assert told["status"] == [0, None, False]
    assert told["text"] == []
    return dict(zip(CODES, told["answers"], strict=True))


@PEOPLE
@pytest.mark.parametrize(("code", "expected"), CASES)
def test_isolation(answers: dict[str, str], person: Person, code: str, expected: str) -> None:
    assert answers[code] == expected
    assert (person.folder / "in" / "input.txt").read_text(encoding="utf-8") == "as it was"


@PEOPLE
def test_results_belong_to_the_caller(answers: dict[str, str], person: Person) -> None:
    status = (person.folder / "out" / "x").stat()
    ours = (0, 0) if person.user is None else (person.user.uid, person.user.gid)
    assert (status.st_uid, status.st_gid) == ours


@PEOPLE
@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param("import sys; sys.exit(3)", [3, None, False], id="exit-code"),
        # Podman's own codes for what never started; here they are the stage's.
        pytest.param("import sys; sys.exit(125)", [125, None, False], id="podman-s-own-code"),
        pytest.param("import sys; sys.exit(127)", [127, None, False], id="a-shell-s-own-code"),
        pytest.param("import os; os.abort()", [134, signal.SIGABRT, False], id="abort"),
        # By a signal, and yet not for want of memory.
        pytest.param(
            "import os; os.kill(os.getpid(), 9)", [137, signal.SIGKILL, False], id="killed"
        ),
    ],
)
def test_how_it_ended(person: Person, program: str, status: list[Any]) -> None:
    assert person.container(program=program) == {"answers": [], "status": status, "text": []}


@PEOPLE
def test_missing_source_is_refused_and_not_made(person: Person) -> None:
    missing = person.folder / "missing"
    name, happened = person.container(folder=os.fspath(missing))["error"]
    assert name == "EngineRefused"
    assert happened.startswith("Podman refused: Error: statfs ")
    assert not missing.exists()


@PEOPLE
def test_program_that_is_not_there(person: Person) -> None:
    told = person.container(command=["/nonesuch"])
    # It is the init program that cannot start it: the container itself ran.
    assert told["status"] == [1, None, False]
    assert "No such file or directory" in told["text"][-1]


@PEOPLE
@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param(HOG, [137, signal.SIGKILL, True], id="itself"),
        pytest.param(f"{HOG_CHILD}; sys.exit(5)", [5, None, True], id="a-child"),
        # It did its work all the same.
        pytest.param(HOG_CHILD, [0, None, False], id="a-child-and-done"),
    ],
)
def test_memory_limit_is_kept_or_refused(person: Person, program: str, status: list[Any]) -> None:
    told = person.container(program=program, memory_limit_bytes=150 * MB)
    if "memory" in person.facts().limits:
        assert told["status"] == status
    else:
        assert told["error"][0] == "FeatureUnavailable"
        assert told["error"][1].startswith("A memory limit of 157286400 bytes was asked for")


@PEOPLE
@pytest.mark.parametrize(
    ("number", "stays"),
    [
        pytest.param(signal.SIGINT, False, id="ctrl-c"),
        # Nobody can clean up after this; the next run does.
        pytest.param(signal.SIGKILL, True, id="sigkill"),
    ],
)
def test_signals_to_the_orchestrator(person: Person, number: signal.Signals, stays: bool) -> None:
    request = person.request(wait=True)
    python = sys.executable if person.user is None else person.user.python
    argv = [os.fspath(python), os.fspath(person.project / "tests/podman_client.py"), request]
    environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
    if person.user is not None:
        argv, environment = person.user.command(*argv), person.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd=person.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdout is not None
        ready = json.loads(client.stdout.readline())
        # A Python that does nothing holds a few megabytes.
        assert MB < ready["memory_bytes"] < 100 * MB
        assert len(person.left()) == 1
        client.send_signal(number)
        client.communicate(timeout=30)
    assert bool(person.left()) is stays
    # Removes what is left of dead orchestrators, before it starts anything.
    assert person.container(codes=["6 * 7"])["answers"] == ["42"]
    assert person.left() == []
