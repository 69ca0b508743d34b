"""Podman by its own command line: where it is, what it is told, what it answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from orchestration.errors import EngineNotInstalled, EngineRefused
from orchestration.podman_facts import PodmanFacts
from orchestration.tar_stream import PIECE_BYTES

PROGRAM = "podman"
# What Podman needs of the caller's environment: programs, its files and settings, the session bus
# by which systemd makes control groups, and the way to a registry. CONTAINER_HOST is not among
# them: with it Podman speaks to another machine, which has none of this one's folders.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
# Where Podman looks for its init program: containers.conf(5), helper_binaries_dir, and PATH.
_INIT_PROGRAM = "catatonit"
_HELPER_FOLDERS = (
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
)
_SHOWN_LINES = 4
_REMEDY = "Run `python orchestrate.py doctor` to see what works on this machine."


class PodmanCommand:
    """The `podman` program of this machine.

    Args:
        environment: the caller's.

    Raises:
        EngineNotInstalled: there is none in PATH.

    Attributes:
        path: of the program.
        environment: what it is given of the caller's.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = shutil.which(PROGRAM, path=environment.get("PATH", os.defpath))
        if path is None:
            raise EngineNotInstalled(
                "There is no program named podman in PATH.",
                "Podman 4 or later was expected.",
                "Install it (`sudo apt-get install podman`, as an ordinary user ask those who run"
                " the machine), or use another --runtime.",
            )
        self.path = path
        self.environment = {
            "LC_ALL": "C.UTF-8",
            **{name: environment[name] for name in _INHERITED if name in environment},
        }

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a subcommand."""
        return [self.path, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand to its end, whatever comes of it."""
        # Podman fails in a folder that its user may not enter; a child of root's may stand in one.
        return subprocess.run(
            self.argv(*arguments),
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def answer(self, *arguments: str) -> str:
        """What a subcommand prints.

        Raises:
            EngineRefused: it failed.
        """
        result = self.run(*arguments)
        if result.returncode != 0:
            raise refusal(result.stderr)
        return result.stdout

    def stream(
        self,
        arguments: Sequence[str],
        data: Iterator[bytes],
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[str]:
        """Run a subcommand that reads `data`; yields the lines of both its outputs.

        Args:
            arguments: from the subcommand on.
            data: for its standard input.
            variables: of its environment, besides those of every subcommand.

        Raises:
            EngineRefused: it failed.
        """
        # Held in a file: a pipe would have to be filled while the other one is emptied.
        with tempfile.TemporaryFile() as file:
            for piece in data:
                file.write(piece)
            file.seek(0)
            process = subprocess.Popen(
                self.argv(*arguments),
                env={**self.environment, **variables},
                cwd="/",
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            assert process.stdout is not None
            lines: list[str] = []
            try:
                for line in process.stdout:
                    lines.append(line.rstrip("\n"))
                    yield lines[-1]
                if process.wait() != 0:
                    raise refusal("\n".join(lines))
            finally:
                process.terminate()
                process.wait()
                process.stdout.close()

    def content(self, *arguments: str) -> Iterator[bytes]:
        """What a subcommand writes to its standard output, in pieces.

        Raises:
            EngineRefused: it failed.
        """
        # Held in a file: of two pipes one may fill up while the other is read.
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                self.argv(*arguments),
                env=self.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                while piece := process.stdout.read(PIECE_BYTES):
                    yield piece
                if process.wait() != 0:
                    said.seek(0)
                    raise refusal(said.read().decode(errors="replace"))
            finally:
                process.terminate()

    def facts(self) -> PodmanFacts:
        """What Podman says of itself.

        Raises:
            EngineRefused: it does not work on this machine.
        """
        return PodmanFacts.read(json.loads(self.answer("info", "--format", "json")))

    def has_init(self) -> bool:
        """Whether there is an init program that it can put into containers."""
        folders = os.pathsep.join([*_HELPER_FOLDERS, self.environment.get("PATH", os.defpath)])
        return shutil.which(_INIT_PROGRAM, path=folders) is not None


def refusal(text: str) -> EngineRefused:
    """The error for a subcommand that failed.

    Args:
        text: what it wrote for people.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_SHOWN_LINES:]
    return EngineRefused(
        f"Podman refused: {(' / '.join(lines) or 'it said nothing').rstrip('.')}.",
        "It was expected to do as asked.",
        _REMEDY,
    )
