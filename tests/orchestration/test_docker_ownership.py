"""Leftovers of killed runs are told from containers of living ones; what is doubtful stays."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestration.runtimes.ownership import Owner, is_leftover, start_time

OWNER = Owner(uid="1000", pid="321", started="7777", boot="boot-a", pid_namespace="pid:[1]")
RENAMES_ITSELF = """
import pathlib, time
pathlib.Path("/proc/self/comm").write_text("a) (b 1 2")
print(flush=True)
time.sleep(60)
"""
LIVING = {321: "7777"}
REUSED = {321: "9999"}


@pytest.mark.parametrize(
    ("owner", "running", "processes", "expected"),
    [
        pytest.param(OWNER, True, LIVING, False, id="owner-lives"),
        pytest.param(OWNER, False, LIVING, False, id="owner-lives-container-ended"),
        pytest.param(OWNER, True, {}, True, id="owner-gone"),
        pytest.param(OWNER, True, REUSED, True, id="number-given-to-another-process"),
        pytest.param(replace(OWNER, uid="1001"), True, {}, False, id="another-user-s"),
        pytest.param(replace(OWNER, started=""), True, {}, False, id="no-start-time-known"),
        pytest.param(replace(OWNER, boot="boot-b"), False, {}, True, id="before-the-last-boot"),
        pytest.param(replace(OWNER, boot="boot-b"), True, {}, False, id="another-machine-s"),
        # An orchestrator that itself runs in a container: its numbers mean nothing here.
        pytest.param(
            replace(OWNER, pid_namespace="pid:[2]"), True, {}, False, id="another-pid-namespace"
        ),
    ],
)
def test_leftovers(owner: Owner, running: bool, processes: dict[int, str], expected: bool) -> None:
    observer = replace(OWNER, pid="555", started="8888")
    assert is_leftover(owner.labels(), running, observer, processes.get) is expected


def test_container_without_an_owner_stays() -> None:
    labels = OWNER.labels()
    labels.popitem()
    assert not is_leftover(labels, True, OWNER, {}.get)


def test_current_owner_is_this_process() -> None:
    owner = Owner.current()
    assert owner.pid == str(os.getpid())
    assert owner.started == start_time(os.getpid())
    assert owner.uid == str(os.geteuid())
    assert not is_leftover(owner.labels(), True, owner, start_time)


def test_start_time_of_a_process_with_an_awkward_name() -> None:
    # The kernel shows the name in parentheses, unescaped, before the field wanted here.
    child = subprocess.Popen([sys.executable, "-c", RENAMES_ITSELF], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        started = start_time(child.pid)
        assert started is not None
        assert int(started) >= int(start_time(os.getpid()) or "never")
    finally:
        child.kill()
        child.communicate()
    assert start_time(child.pid) is None
