"""Run one of the demo's scripts in a stage's environment: a container or a local interpreter."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.environments import make_environment, recipe_for
from orchestration.errors import OrchestrationError
from orchestration.runtimes.base import Mount, Stage, StageSpec
from orchestration.runtimes.docker import DockerRuntime
from orchestration.settings import RuntimeOptions

REPOSITORY = Path(__file__).resolve().parents[2]
# Where the images keep the stages, see docker/Dockerfile.*.
STAGE_FOLDER = "/stage"
SCRIPT_FOLDER = "/demo"
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}


class DemoFailed(Exception):
    """A step of the demo did not succeed; its own words are on the terminal."""


@dataclass(frozen=True)
class Folder:
    """A folder that a script gets as its next argument.

    Attributes:
        path: on this machine.
        writable: the script writes there.
    """

    path: Path
    writable: bool = False


ScriptRunner = Callable[[Stage, str, Sequence[Folder]], None]
"""Runs (stage, script's name in this folder, its arguments)."""


def say(text: str) -> None:
    """One line on the terminal."""
    print(text, flush=True)


def choose_runner() -> tuple[str, ScriptRunner]:
    """The runtime's name and its way to run scripts: containers where they work, else local.

    Which one, and why, is said on the terminal.
    """
    docker = DockerRuntime(RuntimeOptions(name="docker", device="cpu"))
    try:
        docker.prepare(("extract", "load"), say)
    except OrchestrationError as error:
        say(f"Without containers: {error.happened} Two local environments serve instead.")
        return "local", run_locally
    return "docker", _docker_runner(docker)


def run_locally(stage: Stage, script: str, folders: Sequence[Folder]) -> None:
    """Run a script in the stage's local environment, which is made when it is not there.

    Raises:
        DemoFailed: it did not succeed.
        LegacyPythonMissing, EnvironmentBuildFailed: the environment cannot be made.
    """
    options = RuntimeOptions(name="local")
    python = make_environment(recipe_for(stage, "cpu"), options, dict(os.environ), say)
    path = Path(__file__).with_name(script)
    arguments = [os.fspath(folder.path) for folder in folders]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.fspath(REPOSITORY)}
    command = [os.fspath(python), "-s", "-W", "ignore", os.fspath(path), *arguments]
    finished = subprocess.run(command, env=environment, cwd=REPOSITORY, check=False)
    _check(script, finished.returncode)


def _docker_runner(docker: DockerRuntime) -> ScriptRunner:
    def run(stage: Stage, script: str, folders: Sequence[Folder]) -> None:
        source = REPOSITORY / "benchmarks"
        mounts = [Mount(source, f"{SCRIPT_FOLDER}/benchmarks", read_only=True)]
        arguments = ["-W", "ignore", f"{SCRIPT_FOLDER}/benchmarks/demo/{script}"]
        for index, folder in enumerate(folders):
            target = f"{SCRIPT_FOLDER}/argument{index}"
            mounts.append(Mount(folder.path.resolve(), target, not folder.writable))
            arguments.append(target)
        path = f"{STAGE_FOLDER}:{SCRIPT_FOLDER}"
        environment = {**ENVIRONMENT, "PYTHONPATH": path}
        spec = StageSpec(stage, tuple(mounts), device="cpu", environment=environment, run_id="demo")
        _check(script, docker.run_script(spec, arguments, say, say).code)

    return run


def _check(script: str, code: int) -> None:
    if code != 0:
        raise DemoFailed(
            f"{script} ended with exit code {code}; 0 was expected. See its text above."
        )
