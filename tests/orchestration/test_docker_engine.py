"""The ways in which there can be no container engine are told apart; real sockets, no daemon."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration import engine_access
from orchestration.engine import DEFAULT_ADDRESS, Engine, engine_address
from orchestration.engine_access import check_socket, open_engine
from orchestration.errors import (
    EngineForbidden,
    EngineNotInstalled,
    EngineNotRunning,
    OrchestrationError,
)
from orchestration.runtimes.docker import DockerRuntime
from orchestration.runtimes.streams import FRAME_HEADER, STDERR, STDOUT, Attachment, LineSplitter
from orchestration.settings import RuntimeOptions

REPOSITORY = Path(__file__).resolve().parents[2]
OTHER_UID = 12345


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that accepts connections and never answers."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(os.fspath(path))
        server.listen()
        yield path


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        pytest.param(True, EngineNotRunning, id="installed"),
        pytest.param(False, EngineNotInstalled, id="not-installed"),
    ],
)
def test_no_socket(
    installed: bool,
    expected: type[OrchestrationError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if installed:
        (programs / "dockerd").write_text("#!/bin/sh\n", encoding="ascii")
        (programs / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(engine_access, "DAEMON_FOLDERS", os.fspath(programs))
    with pytest.raises(expected) as caught:
        check_socket(f"unix://{tmp_path}/docker.sock")
    assert f"{tmp_path}/docker.sock" in caught.value.happened
    assert "--runtime local" in caught.value.remedy


def test_socket_of_a_daemon_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(os.fspath(path))
    monkeypatch.setattr(engine_access, "_is_installed", lambda: True)
    with pytest.raises(EngineNotRunning, match="Connection refused"):
        check_socket(f"unix://{path}")


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user: needs root")
def test_socket_that_belongs_to_others(listening: Path) -> None:
    listening.chmod(0o600)
    for folder in list(listening.parents)[:3]:
        folder.chmod(0o755)
    os.seteuid(OTHER_UID)
    try:
        with pytest.raises(EngineForbidden) as caught:
            check_socket(f"unix://{listening}")
    finally:
        os.seteuid(0)
    assert os.fspath(listening) in caught.value.happened
    assert "usermod -aG docker" in caught.value.remedy


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:2375", "ssh://user@host"])
def test_other_addresses_are_left_to_the_sdk(address: str) -> None:
    check_socket(address)


def test_daemon_that_speaks_nonsense(listening: Path) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.close()

    path = listening.with_name("other.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(os.fspath(path))
        server.listen()
        # One connection is the probe's, the next the SDK's.
        threads = [threading.Thread(target=answer, args=(server,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        with pytest.raises(EngineNotRunning, match="does not answer"):
            Engine.connect({"DOCKER_HOST": f"unix://{path}"})
        for thread in threads:
            thread.join()


def test_unreachable_engine_makes_the_runtime_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    availability = DockerRuntime(RuntimeOptions()).availability()
    assert not availability.ok
    assert f"{tmp_path}/nothing.sock" in availability.reason
    assert availability.remedy is not None


@pytest.mark.parametrize("folder", [REPOSITORY, Path("/")], ids=["beside-docker/", "elsewhere"])
def test_sdk_that_is_not_installed(folder: Path) -> None:
    # In the repository `import docker` finds the folder docker/ and succeeds.
    program = (
        "import sys\n"
        f"sys.path.append({os.fspath(REPOSITORY)!r})\n"
        "from orchestration.engine_access import open_engine\n"
        "from orchestration.errors import EngineNotInstalled\n"
        "try:\n    open_engine()\n"
        "except EngineNotInstalled as error:\n    print(error.remedy)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install -r requirements.txt" in answer.stdout


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", os.fspath(tmp_path / ".docker"))
    assert engine_address({"DOCKER_HOST": "tcp://192.0.2.1:2375"}) == "tcp://192.0.2.1:2375"
    assert engine_address({}).replace("http+unix", "unix") == DEFAULT_ADDRESS


def test_context_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"currentContext": "elsewhere"}), encoding="utf-8")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", os.fspath(config.parent))
    assert engine_address({}) == DEFAULT_ADDRESS


def test_two_streams_in_one_connection() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        attachment = Attachment(ours)
        frames = [(STDOUT, b"a\nb"), (STDERR, b"\xff"), (STDOUT, b""), (STDOUT, b"c" * 70_000)]
        message = b"".join(FRAME_HEADER.pack(kind, len(data)) + data for kind, data in frames)
        sender = threading.Thread(target=theirs.sendall, args=(message,))
        sender.start()
        received = attachment.frames()
        assert [next(received) for _ in frames] == frames
        sender.join()
        attachment.write(b"job\n")
        attachment.close_input()
        assert theirs.recv(10) == b"job\n"
        assert theirs.recv(10) == b""
        # The header of a frame whose rest never comes.
        theirs.sendall(b"\1\0\0")
        theirs.shutdown(socket.SHUT_WR)
        assert list(received) == []
    attachment.interrupt()
    attachment.close()


@pytest.mark.parametrize(
    ("pieces", "lines", "rest"),
    [
        pytest.param([b"one\n"], [b"one"], [], id="one"),
        pytest.param([b"on", b"e\ntw", b"o"], [b"one"], [b"two"], id="in-pieces"),
        pytest.param([b"\n\n", b"x\n"], [b"", b"", b"x"], [], id="empty-lines"),
        pytest.param([b"\xc3", b"\xa9\n"], ["é".encode()], [], id="character-in-two-pieces"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_lines(pieces: list[bytes], lines: list[bytes], rest: list[bytes]) -> None:
    splitter = LineSplitter(1000)
    assert [line for piece in pieces for line in splitter.feed(piece)] == lines
    assert list(splitter.rest()) == rest


def test_a_line_without_end_comes_in_pieces() -> None:
    splitter = LineSplitter(5)
    pieces = [b"abc", b"defg", b"h\ni", b"j"]
    assert [line for piece in pieces for line in splitter.feed(piece)] == [b"abcdefg", b"h"]
    assert list(splitter.rest()) == [b"ij"]


@pytest.mark.docker
def test_engine_that_is_there() -> None:
    engine = open_engine()
    assert engine.info()["OSType"] == "linux"
    assert engine.find_image("tf1-to-torch/no-such-image:0") is None
    engine.remove_container("tf1-to-torch-no-such-container")
    engine.close()
