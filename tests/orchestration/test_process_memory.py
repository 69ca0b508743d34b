"""How much memory a stage's processes hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.runtimes.base import StageSpec
from orchestration.runtimes.command_process import CommandProcess
from orchestration.runtimes.process_memory import container_memory_bytes, tree_memory_bytes

MEGABYTE = 1_000_000
HOLD = "import sys; held = bytearray(b'x') * int(sys.argv[1]); print('held', flush=True);"
WAIT = " sys.stdin.read()"
# The memory is a grandchild's, as that of a stage in a container is.
NESTED = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD + WAIT!r}, sys.argv[1]])"
)


@pytest.mark.parametrize("program", [HOLD + WAIT, NESTED], ids=["itself", "a child"])
def test_memory_of_a_process_tree(program: str, tmp_path: Path) -> None:
    held_bytes = 83 * MEGABYTE
    argv = [sys.executable, "-c", program, str(held_bytes)]
    process = CommandProcess(argv, {}, tmp_path, StageSpec("load", ()), lambda line: None)
    try:
        assert next(process.lines()) == b"held\n"
        measured_bytes = process.memory_bytes()
        assert measured_bytes is not None
        assert held_bytes < measured_bytes < held_bytes + 60 * MEGABYTE
    finally:
        process.kill()
    assert process.memory_bytes() is None


def test_file_pages_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"w" * (57 * MEGABYTE))
    program = (
        "import mmap, sys; stream = open(sys.argv[1], 'rb');"
        " seen = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ);"
        " print(sum(seen[i] for i in range(0, len(seen), 4096)), flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(file)]
    process = CommandProcess(argv, {}, tmp_path, StageSpec("load", ()), lambda line: None)
    try:
        assert next(process.lines())
        measured_bytes = process.memory_bytes()
        assert measured_bytes is not None
        assert measured_bytes < 40 * MEGABYTE
    finally:
        process.kill()


def test_a_process_that_is_gone_has_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert tree_memory_bytes(process.pid) is None


def test_a_number_of_another_machine_is_nobody_here() -> None:
    assert container_memory_bytes(os.getpid(), "0123456789abcdef" * 4) is None
    assert tree_memory_bytes(os.getpid()) is not None
