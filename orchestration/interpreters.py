"""Finding Python interpreters that really run: 3.7 for TensorFlow 1.15, 3.11 for torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import EnvironmentBuildFailed, LegacyPythonMissing

LEGACY_VERSION = (3, 7)
LOAD_VERSION = (3, 11)
_PROBE_TIMEOUT_S = 20
# ssl and venv are compiled or packaged apart, and often missing from a Python built by hand.
_PROBE = """
import json, platform, sys
import ssl, venv
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "machine": platform.machine(),
    "executable": sys.executable,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was started and answered.

    Attributes:
        path: its real file, never a shim.
        version: such as (3, 7, 17).
        machine: such as "x86_64".
        found_in: where it was found, for people.
    """

    path: Path
    version: tuple[int, int, int]
    machine: str
    found_in: str


@dataclass(frozen=True)
class Rejected:
    """A candidate that does not serve, and why."""

    path: Path
    reason: str


def find_legacy_python(
    explicit: Path | None, environment: Mapping[str, str], home: Path
) -> Interpreter:
    """The CPython 3.7 (x86_64) that TensorFlow 1.15 needs.

    Args:
        explicit: the user's choice; nothing else is tried then.
        environment: of the caller: PATH, PYENV_ROOT, UV_PYTHON_INSTALL_DIR, CONDA_PREFIX.
        home: of the caller.

    Raises:
        LegacyPythonMissing: none was found, or the one named does not serve.
    """
    rejected: list[Rejected] = []
    for path, found_in in _candidates(LEGACY_VERSION, explicit, environment, home):
        answer = probe(path, found_in)
        if isinstance(answer, Rejected):
            rejected.append(answer)
        elif answer.version[:2] != LEGACY_VERSION:
            rejected.append(Rejected(path, f"is Python {_dotted(answer.version)}"))
        elif answer.machine not in ("x86_64", "AMD64"):
            rejected.append(Rejected(path, f"is built for {answer.machine}"))
        else:
            return answer
    raise LegacyPythonMissing(
        _rejection_text("CPython 3.7", rejected),
        "TensorFlow 1.15.5 runs on CPython 3.7 for x86_64 only, with its ssl and venv modules.",
        "Install one (`pyenv install 3.7.17`, or `conda create -n python37 python=3.7`) and"
        " name it with --legacy-python PATH, use containers (--runtime docker), or read without"
        " TensorFlow and without a proof: --reader pure.",
    )


def find_load_python(environment: Mapping[str, str], home: Path) -> Interpreter | None:
    """A CPython 3.11 for the load environment, or None: uv can fetch that one itself."""
    return find_python(LOAD_VERSION, environment, home)


def find_python(
    version: tuple[int, int], environment: Mapping[str, str], home: Path
) -> Interpreter | None:
    """A CPython of a version that runs here, or None."""
    for path, found_in in _candidates(version, None, environment, home):
        answer = probe(path, found_in)
        if isinstance(answer, Interpreter) and answer.version[:2] == version:
            return answer
    return None


def find_uv(environment: Mapping[str, str]) -> Path:
    """The uv program: the one installed beside this Python, else the first on PATH.

    Raises:
        EnvironmentBuildFailed: there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return beside
    on_path = shutil.which("uv", path=environment.get("PATH"))
    if on_path:
        return Path(on_path)
    raise EnvironmentBuildFailed(
        f"The program uv was not found beside {sys.executable} nor on PATH.",
        "The local runtime makes its two environments with uv.",
        "Install it (`pip install uv`), or use containers: --runtime docker.",
    )


def probe(path: Path, found_in: str) -> Interpreter | Rejected:
    """Start a candidate and ask what it is.

    Shims and broken builds fail here rather than in the middle of a run.
    """
    try:
        answer = subprocess.run(
            [path, "-I", "-c", _PROBE],
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Rejected(path, f"did not answer within {_PROBE_TIMEOUT_S} s")
    except OSError as error:
        return Rejected(path, error.strerror or str(error))
    if answer.returncode != 0:
        last_lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        return Rejected(path, f"does not run: {last_lines[-1]}")
    facts = json.loads(answer.stdout)
    if facts["implementation"] != "CPython":
        return Rejected(path, f"is {facts['implementation']}")
    major, minor, patch = facts["version"]
    return Interpreter(
        Path(os.path.realpath(facts["executable"])),
        (major, minor, patch),
        facts["machine"],
        found_in,
    )


def _candidates(
    version: tuple[int, int], explicit: Path | None, environment: Mapping[str, str], home: Path
) -> Iterator[tuple[Path, str]]:
    """Possible interpreters with the place they come from, best first."""
    if explicit is not None:
        yield explicit, "--legacy-python"
        return
    name = f"python{version[0]}.{version[1]}"
    if sys.version_info[:2] == version:
        yield Path(sys.executable), "this Python"
    for folder in environment.get("PATH", "").split(os.pathsep):
        if folder and (Path(folder) / name).is_file():
            yield Path(folder) / name, "PATH"
    pyenv = Path(environment.get("PYENV_ROOT") or home / ".pyenv")
    for path in _newest_first((pyenv / "versions").glob(f"{version[0]}.{version[1]}.*")):
        yield path / "bin" / name, "pyenv"
    data_home = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv_folder = Path(environment.get("UV_PYTHON_INSTALL_DIR") or data_home / "uv" / "python")
    for path in _newest_first(uv_folder.glob(f"cpython-{version[0]}.{version[1]}.*")):
        yield path / "bin" / name, "uv"
    for folder in _conda_folders(environment, home):
        if (Path(folder) / "bin" / name).is_file():
            yield Path(folder) / "bin" / name, "conda"


def _conda_folders(environment: Mapping[str, str], home: Path) -> list[str]:
    """Conda's environments: the active one, then those in the list that conda keeps."""
    active = [environment["CONDA_PREFIX"]] if environment.get("CONDA_PREFIX") else []
    try:
        listed = (home / ".conda" / "environments.txt").read_text(encoding="utf-8").split("\n")
    except OSError:
        return active
    return active + [line for line in listed if line]


def _newest_first(paths: Iterator[Path]) -> list[Path]:
    """Sorted by the numbers in their names, highest first: 3.7.16 before 3.7.9."""

    def numbers(path: Path) -> list[int]:
        return [int(part) for part in path.name.replace("-", ".").split(".") if part.isdigit()]

    return sorted(paths, key=numbers, reverse=True)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _rejection_text(wanted: str, rejected: list[Rejected]) -> str:
    """What was looked at and why nothing of it serves."""
    if not rejected:
        return f"No {wanted} was found on PATH, nor among the versions of pyenv, uv and conda."
    tried = "; ".join(f"{item.path} {item.reason}" for item in rejected)
    return f"No {wanted} that works was found: {tried}."
