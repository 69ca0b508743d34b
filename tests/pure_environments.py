"""Environments without TensorFlow for the tests of `stage_extract --reader pure`, made by uv.

One for each Python; a Python that is not here is fetched if uv can.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orchestration.environment_folders import exclusive, make_folder
from orchestration.environments import environments_folder
from orchestration.interpreters import find_python, find_uv
from orchestration.pip_settings import PipSettings
from orchestration.runtimes.base import Notify

# TensorFlow's own, the load stage's, and the newest that is known to be at hand.
VERSIONS = ((3, 7), (3, 11), (3, 13))
LOCK = Path(__file__).parent / "requirements-pure.txt"
_HASH_DIGITS = 16


class PythonMissing(Exception):
    """A Python is not here and cannot be fetched; the text says which."""


def make_pure_environment(
    version: tuple[int, int], environment: Mapping[str, str], notify: Notify
) -> Path:
    """Make the environment of one Python, or find it; gives its interpreter.

    Raises:
        PythonMissing: there is no such Python.
        CalledProcessError: the packages cannot be installed.
    """
    name = f"{version[0]}.{version[1]}"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:_HASH_DIGITS]
    folder = environments_folder(environment)
    make_folder(folder)
    target = folder / f"pure-{name}-{digest}"
    with exclusive(folder / f"{target.name}.lock", notify):
        if not (target / "installed").exists():
            shutil.rmtree(target, ignore_errors=True)
            _make(version, name, target, environment)
            (target / "installed").touch()
    return target / "bin" / "python"


def _make(
    version: tuple[int, int], name: str, target: Path, environment: Mapping[str, str]
) -> None:
    uv = os.fspath(find_uv(environment))
    found = find_python(version, environment, Path.home())
    python = name if found is None else os.fspath(found.path)
    variables = {key: value for key, value in environment.items() if key != "VIRTUAL_ENV"}
    venv = [uv, "venv", "--no-project", "--quiet", "--python", python, os.fspath(target)]
    if subprocess.run(venv, env=variables, cwd="/", check=False).returncode != 0:
        raise PythonMissing(f"There is no CPython {name} here, and uv cannot fetch one.")
    pip = PipSettings.read(environment, Path.home())
    install = [uv, "pip", "install", "--quiet", "--python", os.fspath(target / "bin" / "python")]
    install += ["--require-hashes", "--requirement", os.fspath(LOCK)]
    install += [*pip.uv_arguments(), "--index-strategy", "unsafe-best-match"]
    subprocess.run(install, env=variables, cwd="/", check=True)
