"""Environments for tests alone, made by uv from a lock and named after it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orchestration.environment_folders import exclusive, make_folder
from orchestration.environments import environments_folder
from orchestration.interpreters import find_uv
from orchestration.pip_settings import PipSettings
from orchestration.runtimes.base import Notify

_HASH_DIGITS = 16


class PythonMissing(Exception):
    """A Python is not here and cannot be fetched; the text says which."""


def make_locked_environment(
    name: str, lock: Path, python: str, environment: Mapping[str, str], notify: Notify
) -> Path:
    """Make an environment, or find it; gives its interpreter.

    Args:
        name: what its folder's name begins with.
        lock: requirements with versions and hashes.
        python: the interpreter that it is made from, or a version that uv is to fetch.
        environment: the caller's variables.
        notify: told when another process is making it.

    Raises:
        PythonMissing: there is no such Python.
        CalledProcessError: the packages cannot be installed.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:_HASH_DIGITS]
    folder = environments_folder(environment)
    make_folder(folder)
    target = folder / f"{name}-{digest}"
    with exclusive(folder / f"{target.name}.lock", notify):
        if not (target / "installed").exists():
            shutil.rmtree(target, ignore_errors=True)
            _make(target, lock, python, environment)
            (target / "installed").touch()
    return target / "bin" / "python"


def _make(target: Path, lock: Path, python: str, environment: Mapping[str, str]) -> None:
    uv = os.fspath(find_uv(environment))
    variables = {key: value for key, value in environment.items() if key != "VIRTUAL_ENV"}
    venv = [uv, "venv", "--no-project", "--quiet", "--python", python, os.fspath(target)]
    if subprocess.run(venv, env=variables, cwd="/", check=False).returncode != 0:
        raise PythonMissing(f"There is no CPython {python} here, and uv cannot fetch one.")
    pip = PipSettings.read(environment, Path.home())
    install = [uv, "pip", "install", "--quiet", "--python", os.fspath(target / "bin" / "python")]
    install += ["--require-hashes", "--requirement", os.fspath(lock)]
    install += [*pip.uv_arguments(), "--index-strategy", "unsafe-best-match"]
    subprocess.run(install, env=variables, cwd="/", check=True)
