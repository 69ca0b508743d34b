"""The two Python environments of the local runtime, made by uv from hash-locked requirements.

An environment is named after its lock's hash, so a changed lock makes a new one, and is made in a
temporary folder that is renamed when it is complete: it exists whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestration.environment_folders import exclusive, make_folder, reap_partial_folders
from orchestration.errors import EnvironmentBuildFailed
from orchestration.interpreters import find_legacy_python, find_load_python, find_uv
from orchestration.own_packages import constraints, requirements_sha256
from orchestration.pip_settings import PipSettings
from orchestration.run_paths import cache_folder, repository_folder
from orchestration.runtimes.base import Notify, Stage
from orchestration.settings import CPU_TORCH_INDEX, RuntimeOptions, TorchVariant

_HASH_DIGITS = 16
_SHOWN_LINES = 12
_SHOWN_WORK = ("Resolved", "Downloading", "Building", "Prepared", "Installed")
_TORCH_NOT_FOUND = ("torch==", "torch was not found", "no version of torch")


@dataclass(frozen=True)
class Recipe:
    """What one environment is made from.

    Attributes:
        stage: the stage that runs in it.
        lock: requirements file with versions and hashes.
        extra_index: index that holds what the public one lacks, or None.
        requirements: packages of the user's own on top, or None.
        wheelhouse: folder of wheels that those come from, or None.
    """

    stage: Stage
    lock: Path
    extra_index: str | None
    requirements: Path | None = None
    wheelhouse: Path | None = None

    def lock_sha256(self) -> str:
        """Hash of the lock, in hexadecimal digits."""
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    def folder_name(self) -> str:
        """Name of the environment's folder, such as "extract-0123456789abcdef"."""
        name = f"{self.stage}-{self.lock_sha256()[:_HASH_DIGITS]}"
        own = self.requirements_sha256()
        return name if own is None else f"{name}-{own[:_HASH_DIGITS]}"

    def requirements_sha256(self) -> str | None:
        """Hash of the user's own packages, or None without any."""
        if self.requirements is None:
            return None
        return requirements_sha256(self.requirements, self.wheelhouse)


def recipe_of(stage: Stage, options: RuntimeOptions) -> Recipe:
    """The recipe of a stage's environment, with the user's own packages for stage 2."""
    recipe = recipe_for(stage, options.torch_variant)
    if stage == "extract" or options.requirements is None:
        return recipe
    return replace(recipe, requirements=options.requirements, wheelhouse=options.wheelhouse)


def recipe_for(stage: Stage, torch_variant: TorchVariant) -> Recipe:
    """The recipe of a stage's environment as it is locked."""
    folder = repository_folder() / "docker"
    if stage == "extract":
        return Recipe(stage, folder / "requirements-extract.txt", None)
    lock = folder / f"requirements-load-{torch_variant}.txt"
    return Recipe(stage, lock, CPU_TORCH_INDEX if torch_variant == "cpu" else None)


def environments_folder(environment: Mapping[str, str]) -> Path:
    """Where the environments lie: the user's cache folder."""
    return cache_folder(environment) / "environments"


def environment_folder(
    recipe: Recipe, options: RuntimeOptions, environment: Mapping[str, str]
) -> Path:
    """Where a stage's environment lies, made or not.

    One that was made from another Python than the user names now is left alone, for a run may be
    using it: the named Python gets a folder of its own.

    Raises:
        LegacyPythonMissing: the Python that the user names does not serve.
    """
    folder = environments_folder(environment) / recipe.folder_name()
    if recipe.stage != "extract" or options.legacy_python is None:
        return folder
    named = find_legacy_python(options.legacy_python, environment, Path.home()).path
    if _base_folder(folder) in (None, named.parent):
        return folder
    digest = hashlib.sha256(os.fsencode(named)).hexdigest()[:_HASH_DIGITS]
    return folder.with_name(f"{folder.name}-{digest}")


def existing_python(
    recipe: Recipe, options: RuntimeOptions, environment: Mapping[str, str]
) -> Path | None:
    """Interpreter of the environment, or None if it has not been made.

    A link to an interpreter that has been removed since then counts as none.
    """
    python = environment_folder(recipe, options, environment) / "bin" / "python"
    return python if python.exists() else None


def make_environment(
    recipe: Recipe, options: RuntimeOptions, environment: Mapping[str, str], notify: Notify
) -> Path:
    """Make a stage's environment, or wait for another run that is making it.

    Returns:
        The environment's interpreter.

    Raises:
        LegacyPythonMissing: there is no CPython 3.7.
        EnvironmentBuildFailed: uv is missing or failed.
    """
    folder = environments_folder(environment)
    make_folder(folder)
    target = environment_folder(recipe, options, environment)
    with exclusive(folder / f"{target.name}.lock", notify):
        python = target / "bin" / "python"
        if python.exists():
            return python
        notify(f"Making the {recipe.stage} environment in {target} (once; later runs find it)")
        reap_partial_folders(target)
        with tempfile.TemporaryDirectory(prefix=f"{target.name}.partial-", dir=folder) as partial:
            build = Path(partial) / "environment"
            _install(recipe, options, environment, build, notify)
            shutil.rmtree(target, ignore_errors=True)
            build.rename(target)
        notify(f"The {recipe.stage} environment is ready")
    return target / "bin" / "python"


def _install(
    recipe: Recipe,
    options: RuntimeOptions,
    environment: Mapping[str, str],
    build: Path,
    notify: Notify,
) -> None:
    """Create a virtual environment at `build` and install the lock into it."""
    uv = os.fspath(find_uv(environment))
    home = Path.home()
    if recipe.stage == "extract":
        legacy = find_legacy_python(options.legacy_python, environment, home)
        python = os.fspath(legacy.path)
        notify(f"Python 3.7: {python} ({legacy.found_in})")
    else:
        found = find_load_python(environment, home)
        python = os.fspath(found.path) if found else "3.11"
    pip = PipSettings.read(environment, home)
    uv_environment = _uv_environment(environment, pip)
    venv = [uv, "venv", "--no-project", "--quiet", "--relocatable", "--python", python]
    _run_or_fail(recipe, [*venv, os.fspath(build)], uv_environment, notify)
    install = [uv, "pip", "install", "--python", os.fspath(build / "bin" / "python")]
    install += ["--require-hashes", "--requirement", os.fspath(recipe.lock)]
    sources = source_arguments(recipe, options.wheelhouse, pip)
    lines = _run(install + sources[0], uv_environment, notify)
    for more in sources[1:]:
        if lines is None or not any(text in "\n".join(lines) for text in _TORCH_NOT_FOUND):
            break
        lines = _run(install + more, uv_environment, notify)
    if lines is not None:
        raise _failure(recipe, install, lines)
    if recipe.requirements is not None:
        kept = build.with_name("constraints.txt")
        kept.write_text(constraints(recipe.lock.read_text(encoding="utf-8")), encoding="utf-8")
        own = [*install[:5], "--requirement", os.fspath(recipe.requirements)]
        own += ["--constraint", os.fspath(kept), *sources[0]]
        _run_or_fail(recipe, own, uv_environment, notify)


def source_arguments(recipe: Recipe, wheelhouse: Path | None, pip: PipSettings) -> list[list[str]]:
    """Sets of arguments that say where packages come from, to be tried in this order.

    Every file is checked against the lock's hash, so any index may provide it
    (`unsafe-best-match` looks at all of them, as pip does).
    """
    if wheelhouse is not None:
        return [["--no-index", "--offline", "--find-links", os.fspath(wheelhouse.resolve())]]
    own = [*pip.uv_arguments(), "--index-strategy", "unsafe-best-match"]
    if recipe.extra_index is None or pip.no_index:
        return [own]
    with_extra = [*own, "--index", recipe.extra_index]
    # A machine with its own sources may be cut off from the public ones: those come second.
    return [own, with_extra] if pip.names_a_source() else [with_extra]


def _uv_environment(environment: Mapping[str, str], pip: PipSettings) -> dict[str, str]:
    """The caller's environment without an active virtual environment, with pip's certificates."""
    variables = {key: value for key, value in environment.items() if key != "VIRTUAL_ENV"}
    if pip.certificate:
        variables.setdefault("SSL_CERT_FILE", pip.certificate)
    return variables


def _run_or_fail(
    recipe: Recipe, command: list[str], environment: Mapping[str, str], notify: Notify
) -> None:
    lines = _run(command, environment, notify)
    if lines is not None:
        raise _failure(recipe, command, lines)


def _run(command: list[str], environment: Mapping[str, str], notify: Notify) -> list[str] | None:
    """Run uv, passing its lines on. None = it succeeded, else what it said.

    It gets a session of its own and is killed with its children when this run ends early.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.decode(errors="replace").strip()
                lines.append(line)
                if line.startswith(_SHOWN_WORK):
                    notify(f"  {line}")
            return lines if process.wait() != 0 else None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _failure(recipe: Recipe, command: list[str], lines: list[str]) -> EnvironmentBuildFailed:
    said = " / ".join([line for line in lines if line][-_SHOWN_LINES:]) or "nothing"
    files = [file.name for file in (recipe.lock, recipe.requirements) if file is not None]
    return EnvironmentBuildFailed(
        f"uv could not make the {recipe.stage} environment; it said: {said}",
        f"Every package of {' and '.join(files)} was to be installed.",
        "Check the network and the index settings (UV_*, PIP_*, pip.conf), or give a folder of"
        f" wheels with --wheelhouse. The command was: {' '.join(command)}",
    )


def _base_folder(environment_folder: Path) -> Path | None:
    """Folder of the Python that an environment was made from; None if it has not been made."""
    try:
        text = (environment_folder / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return None
    settings = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return Path(os.path.realpath(settings["home"])) if "home" in settings else None
