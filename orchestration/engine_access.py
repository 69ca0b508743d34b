"""The way to the container engine: whether one is there and may be used. Needs no SDK to say no."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

from orchestration.errors import EngineForbidden, EngineNotInstalled, EngineNotRunning

if TYPE_CHECKING:
    from orchestration.engine import Engine

ENGINE_PROGRAMS = ("docker", "dockerd")
# An ordinary user's PATH leaves out the folders where distributions put daemons.
DAEMON_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
START_HINT = "Start it (`sudo systemctl start docker`), or pass `--runtime local`."


def open_engine() -> Engine:
    """Connect to the container engine; the SDK is imported only now, most commands do not need it.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: as they say.
    """
    try:
        from orchestration.engine import Engine
    except ImportError as error:
        raise EngineNotInstalled(
            f"The Docker SDK for Python is not installed: {error}.",
            "The packages of requirements.txt were expected.",
            "Run `python -m pip install -r requirements.txt`, or pass `--runtime local`.",
        ) from error
    return Engine.connect()


def check_socket(address: str) -> None:
    """Open and close the engine's socket, for an error that tells the three usual causes apart.

    Raises:
        EngineNotInstalled, EngineNotRunning, EngineForbidden: as they say.
    """
    scheme, _, path = address.partition("://")
    if scheme not in ("unix", "http+unix"):
        return
    path = "/" + path.lstrip("/")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except PermissionError as error:
        raise EngineForbidden(
            f"You may not use the container engine's socket {path}.",
            "Read and write permission on it was expected, usually as a member of its group.",
            "Run `sudo usermod -aG docker $USER` and log in again, or pass `--runtime local`.",
        ) from error
    except OSError as error:
        if _is_installed():
            raise EngineNotRunning(
                f"No container engine listens on {path}: {error.strerror}.",
                "A running Docker engine was expected.",
                START_HINT,
            ) from error
        raise EngineNotInstalled(
            f"There is no container engine on this machine: no {path}, no program named docker.",
            "Docker 20.10 or later was expected.",
            "Install it (`sudo apt-get install docker.io`), or pass `--runtime local`.",
        ) from error
    finally:
        probe.close()


def _is_installed() -> bool:
    folders = os.environ.get("PATH", os.defpath) + os.pathsep + DAEMON_FOLDERS
    return any(shutil.which(program, path=folders) for program in ENGINE_PROGRAMS)
