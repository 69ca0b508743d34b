"""The stages as plain processes of this machine, in environments that uv makes.

No container engine needed.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from orchestration.environments import (
    existing_python,
    make_environment,
    recipe_of,
)
from orchestration.errors import FeatureUnavailable, LegacyPythonMissing, OrchestrationError
from orchestration.installed_packages import installed_packages
from orchestration.interpreters import find_legacy_python, find_uv
from orchestration.load_python import check_load_python
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import Availability, Notify, Stage, StageProcess, StageSpec
from orchestration.runtimes.local_process import LocalProcess
from orchestration.settings import RuntimeOptions

_SOURCE_SUFFIXES = frozenset({".py", ".json", ".html", ".css", ".js"})


class LocalRuntime:
    """Both stages as subprocesses, each in its own environment.

    Args:
        options: how the stages are to be run.
        environment: the caller's, from which a few variables are handed on.
    """

    name = "local"

    def __init__(self, options: RuntimeOptions, environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._pythons: dict[Stage, Path] = {}
        self._load_packages: dict[str, str] = {}

    def availability(self) -> Availability:
        """Usable when the environments exist, or can be made; without TensorFlow, stage 2's."""
        try:
            tensorflow = self.tensorflow()
            missing = [stage for stage in self._stages() if self._made_python(stage) is None]
            if not missing:
                return Availability(True, "both environments are ready")
            find_uv(self._environment)
            if not tensorflow.ok:
                return Availability(True, f"without TensorFlow ({tensorflow.reason.rstrip('.')})")
            if "extract" in missing:
                return tensorflow
            return Availability(True, "uv makes the missing environment on first use")
        except OrchestrationError as error:
            return Availability(False, error.happened, error.remedy)

    def tensorflow(self) -> Availability:
        """It runs on x86-64 with AVX, in its environment or one made from a CPython 3.7.

        Raises:
            LegacyPythonMissing: the Python that the user names does not serve.
        """
        missing = why_no_tensorflow(platform.machine(), read_cpu_flags())
        if missing is not None:
            return Availability(False, missing)
        if self._made_python("extract") is not None:
            return Availability(True, "its environment is there")
        named = self._options.legacy_python
        try:
            python = find_legacy_python(named, self._environment, Path.home())
        except LegacyPythonMissing as error:
            if named is not None:
                raise
            return Availability(False, error.happened, error.remedy)
        return Availability(True, f"Python 3.7 at {python.path} ({python.found_in})")

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Find or make the environments of `stages`.

        Raises:
            FeatureUnavailable: a memory limit was asked for.
            LegacyPythonMissing: there is no CPython 3.7.
            EnvironmentBuildFailed: an environment cannot be made, or lacks something.
        """
        if self._options.memory_limit_bytes is not None:
            raise FeatureUnavailable(
                "--memory-limit was given, and the stages are to run as plain processes.",
                "Only a container engine can hold a stage to a memory limit.",
                "Use --runtime docker, or leave the option out.",
            )
        for stage in stages:
            self._pythons[stage] = self._python(stage, notify)

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        """Hashes of the stage's sources and of its lock, or the user's own environment."""
        home = home or stage
        identity: dict[str, Any] = {
            "runtime": self.name,
            "sources_sha256": sources_sha256(repository_folder() / f"stage_{stage}"),
        }
        if home == "load" and self._options.load_python is not None:
            return {**identity, "packages": self._load_packages}
        return {**identity, **self._recipe_record(home)}

    def home_record(self, home: Stage) -> dict[str, Any]:
        """What the manifest tells of a stage's environment."""
        python = self._pythons[home]
        environment: dict[str, Any] = {"python": os.fspath(python)}
        if home == "load" and self._options.load_python is not None:
            environment |= {"lock": None, "lock_sha256": None, "packages": self._load_packages}
        else:
            environment |= self._recipe_record(home)
            environment["packages"] = installed_packages(python)
        return {"image": None, "engine": None, "environment": environment}

    def _recipe_record(self, home: Stage) -> dict[str, str]:
        """What an environment that is made here is made from."""
        recipe = recipe_of(home, self._options)
        record = {"lock": recipe.lock.name, "lock_sha256": recipe.lock_sha256()}
        own = recipe.requirements_sha256()
        return record if own is None else {**record, "requirements_sha256": own}

    def start(self, spec: StageSpec, on_text: Notify) -> StageProcess:
        """Start a stage in a session of its own, with a clean environment."""
        python = self._pythons[spec.home or spec.stage]
        return LocalProcess(python, spec, self._environment, on_text)

    def reap(self) -> None:
        """Nothing to do: a stage ends by itself when its orchestrator is gone."""

    def _stages(self) -> tuple[Stage, ...]:
        return ("extract",) if self._options.load_python is not None else ("extract", "load")

    def _made_python(self, stage: Stage) -> Path | None:
        recipe = recipe_of(stage, self._options)
        return existing_python(recipe, self._options, self._environment)

    def _python(self, stage: Stage, notify: Notify) -> Path:
        if stage == "load" and self._options.load_python is not None:
            path = self._options.load_python
            self._load_packages = check_load_python(path)
            notify(f"Stage 2 runs in {path}, with torch {self._load_packages['torch']}")
            return path
        made = self._made_python(stage)
        if made is not None:
            return made
        recipe = recipe_of(stage, self._options)
        return make_environment(recipe, self._options, self._environment, notify)


def sources_sha256(folder: Path) -> str:
    """Hash over names and contents of a stage's files, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SOURCE_SUFFIXES and path.is_file():
            name = path.relative_to(folder).as_posix().encode()
            content = path.read_bytes()
            digest.update(b"%d %s %d " % (len(name), name, len(content)))
            digest.update(content)
    return digest.hexdigest()
