"""A machine within this one that knows nothing of it: other files, processes, network and engine.

It has this machine's programs and settings, a Python as this one, a container engine of its own
without any image, no network, and an empty home. Checkouts, caches, environments, images and
sockets of this machine have no name in there. Made of Linux' namespaces, for which one must be
root; everything in it ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_suffix(".sh")
PROGRAMS = ("dockerd", "nsenter", "pivot_root", "setpriv", "unshare")
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENGINE_START_TIMEOUT_S = 60


@dataclass(frozen=True)
class BareMachine:
    """A machine that runs.

    Attributes:
        disk: where its files lie, seen from outside: `home` and `tmp` are its own.
        init: number of its first process, seen from outside.
        path: where its programs are.
    """

    disk: Path
    init: int
    path: str

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run what somebody types in a shell there, up to the first command that fails."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--net", "--ipc", "--uts", "--pid"]
        variables = {"HOME": "/home", "USER": "root", "LANG": "C.UTF-8", "PATH": self.path}
        return subprocess.run(
            [*enter, "bash", "-e", "-u", "-o", "pipefail", "-c", script],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def bare_machine(disk: Path, given: Mapping[Path, str]) -> Iterator[BareMachine]:
    """Start a machine; it is gone afterwards, and so is its disk.

    Args:
        disk: folder to be made, with room for what is done there.
        given: folders of this machine -> under which names they can be read there.
    """
    disk.mkdir()
    python = Path(sys.base_prefix)
    given = dict(given)
    if not any(python.is_relative_to(folder) for folder in SYSTEM_FOLDERS):
        given[python] = os.fspath(python)
    folders = [part for pair in given.items() for part in map(os.fspath, pair)]
    # Should the tests be killed, it goes with them.
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--net", "--ipc", "--uts"]
    command += ["--pid", "--fork", "--kill-child", "sh", os.fspath(SCRIPT), os.fspath(disk)]
    path = f"{python / 'bin'}:{SYSTEM_PATH}"
    try:
        with (
            (disk / "log").open("wb") as log,
            subprocess.Popen(
                [*command, *folders],
                cwd="/",
                env={"PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield _started(process, disk, path)
            finally:
                # Waited for by its parent, it ends after everything that runs in there.
                for init in _inits(process) or [process.pid]:
                    os.kill(init, signal.SIGKILL)
    finally:
        shutil.rmtree(disk)


def require_bare_machine() -> None:
    """Skip where none can be made; continuous integration has what it needs."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    if os.geteuid() != 0:
        reason = "only root can make namespaces with an engine in them"
    elif missing:
        reason = f"there is no {', '.join(missing)} on this machine"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _started(process: subprocess.Popen[bytes], disk: Path, path: str) -> BareMachine:
    """Wait until the engine of a machine answers."""
    deadline_s = time.monotonic() + ENGINE_START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        for init in _inits(process):
            machine = BareMachine(disk, init, path)
            # Nothing runs in there before this machine is out of sight.
            is_hidden = Path(f"/proc/{init}/root/run/bare_machine").exists()
            if is_hidden and machine.run("docker info").returncode == 0:
                return machine
        time.sleep(0.1)
    pytest.fail(f"the engine did not start:\n{(disk / 'log').read_text(encoding='utf-8')}")


def _inits(process: subprocess.Popen[bytes]) -> list[int]:
    """The first process of a machine, if it has been started and not ended."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in children.read_text(encoding="ascii").split()]
