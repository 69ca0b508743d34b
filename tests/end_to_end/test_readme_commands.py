"""The commands of the README, in their order, on a real checkpoint."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.environments import make_environment, recipe_for
from orchestration.runtimes.base import Stage
from orchestration.settings import RuntimeOptions

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RESULT_FILES = re.compile(r"[\w]+\.(?:safetensors|json|csv|html)")
# Slow, and a test of its own.
LEFT_TO_OTHERS = ("build",)


def stage_python(stage: Stage) -> Path:
    return make_environment(recipe_for(stage, "cpu"), RuntimeOptions(), os.environ, print)


def run(command: list[str | Path], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2"}
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def commands_of_the_readme() -> list[list[str]]:
    lines = [
        line
        for language, body in BLOCK.findall(README)
        if language == "sh"
        for line in body.splitlines()
    ]
    prefix = "python orchestrate.py "
    commands = [shlex.split(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)]
    return [command for command in commands if command[0] not in LEFT_TO_OTHERS]


def place_items_of_the_readme(folder: Path) -> None:
    """The README's items file, and the checkpoints that it names."""
    [items] = [body for language, body in BLOCK.findall(README) if language == "csv"]
    (folder / "models.csv").write_text(items, encoding="utf-8")
    for row in items.splitlines()[1:]:
        shutil.copytree(folder / "ckpt", folder / row.partition(",")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "runtime", ["local", pytest.param("docker", marks=pytest.mark.docker, id="docker")]
)
def test_commands_and_python_sample_of_the_readme(tmp_path: Path, runtime: str) -> None:
    maker = [stage_python("extract"), "-W", "ignore", "-m", "benchmarks.fixtures", "demo-unet"]
    run([*maker, tmp_path / "ckpt"], REPOSITORY)
    place_items_of_the_readme(tmp_path)
    program: list[str | Path] = [sys.executable, REPOSITORY / "orchestrate.py"]
    for command in commands_of_the_readme():
        # Only this one starts no stage.
        more = [] if command[0] == "archive" else ["--runtime", runtime]
        output = run([*program, *command, *more], tmp_path)
        if command[0] == "batch":
            continue
        if "--model" in command:
            assert "PROVEN" in output
            assert "UNPROVEN" not in output
    results = {path.parent for path in (tmp_path / "converted").glob("*/manifest.json")}
    # Twice each: by the file and by the glob, which give it other options.
    assert len(results) == 4
    [sample] = [body for language, body in BLOCK.findall(README) if language == "python"]
    sample += "\nprint(sum(parameter.numel() for parameter in model.parameters()), model.training)"
    parameters, training = run([stage_python("load"), "-c", sample], tmp_path).split()
    assert int(parameters) > 10_000
    assert training == "False"
    shown = README.partition("### What you get")[2].partition("###")[0]
    for name in RESULT_FILES.findall(shown):
        assert (tmp_path / "ckpt-torch" / name).is_file()
