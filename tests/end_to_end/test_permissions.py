"""What the user may not read: told with its class, whoever of the program meets it first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = "model.ckpt.data-00000-of-00001"


def without_power_over_files(command: list[str]) -> list[str]:
    """Root reads everything unless it gives up that power."""
    if os.getuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and root may read everything")
    powers = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", powers, "--inh-caps", powers, *command]


@contextmanager
def forbidden(path: Path, mode: int) -> Iterator[None]:
    """Take permissions away for a while: what is left behind must be removable."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def run(workplace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py"), *arguments]
    return subprocess.run(
        without_power_over_files(command),
        cwd=workplace.folder,
        env=dict(workplace.environment),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "mode", "given"),
    [
        pytest.param(DATA, 0, "ckpt", id="data-file"),
        pytest.param("checkpoint", 0, "ckpt", id="state-file"),
        pytest.param(".", 0, "ckpt", id="folder"),
        pytest.param(".", 0o111, "ckpt/model.ckpt", id="folder-not-to-be-listed"),
        pytest.param(".", 0o444, "ckpt", id="folder-not-to-be-entered"),
        pytest.param(".", 0o444, "ckpt/model.ckpt", id="prefix-in-a-folder-not-to-be-entered"),
    ],
)
def test_a_checkpoint_that_may_not_be_read(workplace, checkpoint, runtime, name, mode, given):
    with forbidden(checkpoint / name, mode):
        done = run(workplace, given, "--model", "unet", "--runtime", runtime)
    assert done.returncode == 37, done.stderr
    assert "Error: NotReadable (exit code 37)" in done.stderr
    assert "Traceback" not in done.stderr
    assert workplace.names() == ["ckpt"]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        pytest.param("graph.json", 0, id="file"),
        pytest.param(".", 0, id="folder"),
        pytest.param(".", 0o444, id="folder-not-to-be-entered"),
    ],
)
def test_an_export_that_may_not_be_read(workplace, name, mode):
    export = workplace.folder / "export"
    export.mkdir()
    (export / "graph.json").write_text("{}")
    with forbidden(export / name, mode):
        done = run(workplace, "load", "export", "--model", "unet")
    assert done.returncode == 18, done.stderr
    assert "Error: ExportInvalid (exit code 18)" in done.stderr
    assert "permissions: `ls" in done.stderr
    assert workplace.names() == ["export"]


def test_a_model_file_that_may_not_be_read(workplace):
    (workplace.folder / "net.py").write_text("")
    with forbidden(workplace.folder / "net.py", 0):
        done = run(workplace, "ckpt", "--model", "net.py:Net")
    assert done.returncode == 2, done.stderr
    assert "you may not read the file 'net.py'" in done.stderr


def test_a_result_that_may_not_be_looked_into_is_left_alone(workplace):
    (workplace.folder / "ckpt").mkdir()
    (workplace.folder / "out").mkdir()
    with forbidden(workplace.folder / "out", 0):
        done = run(workplace, "ckpt", "--model", "unet", "--out", "out", "--force")
    assert done.returncode == 11, done.stderr
    assert "Error: ResultExists (exit code 11)" in done.stderr
