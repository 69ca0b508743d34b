"""The other commands of the README, as they stand there: demo, benchmarks, installation."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
WITHOUT_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    finished = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("extract_python", "load_python")
@pytest.mark.parametrize(
    ("environment", "runtime"),
    [
        pytest.param(WITHOUT_ENGINE, "local", id="without-engine"),
        pytest.param({}, "docker", id="with-engine", marks=pytest.mark.docker),
    ],
)
def test_demo(tmp_path: Path, environment: Mapping[str, str], runtime: str) -> None:
    """It trains until the network segments (else it fails), converts, proves and draws."""
    output = run(["make", "demo", f"DEMO=--out {shlex.quote(str(tmp_path))}"], environment)
    manifest = json.loads((tmp_path / "result" / "manifest.json").read_bytes())
    report = json.loads((tmp_path / "result" / "report.json").read_bytes())
    assert manifest["runtime"] == runtime
    assert report["verdict"] == "proven"
    assert (tmp_path / "picture.png").read_bytes().startswith(PNG_SIGNATURE)
    for shown in ("PROVEN", "report.html", "pixels got another class"):
        assert shown in output
    assert ("Without containers" in output) == (runtime == "local")


@pytest.mark.slow
@pytest.mark.usefixtures("extract_python", "load_python")
def test_benchmarks(tmp_path: Path) -> None:
    scratch = shlex.quote(str(tmp_path))
    output = run(["make", "bench-quick", f"BENCH=--work {scratch} demo-unet"])
    results = json.loads((tmp_path / "results.json").read_bytes())
    assert list(results["items"]) == ["demo-unet"]
    assert results["items"]["demo-unet"]["runs"]["pipeline with proof"]["wall_s"]
    for title in ("**Wall time**", "**CPU time**", "**Peak memory**", "**Targets**"):
        assert title in output


@pytest.mark.slow
@pytest.mark.usefixtures("extract_python", "load_python")
def test_benchmarks_of_a_batch(tmp_path: Path) -> None:
    scratch = shlex.quote(str(tmp_path))
    output = run(["make", "bench-batch-quick", f"BENCH=--work {scratch} memory"])
    (many,) = json.loads((tmp_path / "batch.json").read_bytes())["many"]
    assert min(many["peaks_bytes"]) > 0
    for words in ("**Memory of all workers", "| restart with all 40 done |", "**Targets**"):
        assert words in output


@pytest.mark.slow
def test_installation_of_the_host_side(tmp_path: Path) -> None:
    """The locked requirements are all that the command line needs."""
    pytest.importorskip("ensurepip", reason="this Python has no ensurepip to put pip into a venv")
    [command] = [line for line in README.splitlines() if line.startswith("python -m pip install")]
    run([sys.executable, "-m", "venv", str(tmp_path)])
    python = str(tmp_path / "bin" / "python")
    run([python, *shlex.split(command)[1:]])
    assert "Options:" in run([python, "-sE", "orchestrate.py", "convert", "--help"])
    assert "local" in run([python, "-sE", "orchestrate.py", "doctor"])
