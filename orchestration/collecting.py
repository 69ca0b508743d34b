"""Fill a wheelhouse: every package of both images and of the host side, as the locks have them.

pip fetches, so its settings on this machine count. Nothing but files with a hash of the locks comes
in. A collection that was cut short goes on where it ended.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestration.environment_folders import exclusive
from orchestration.environments import recipe_for
from orchestration.errors import WheelhouseIncomplete
from orchestration.manifest import sha256_of
from orchestration.program import HOST_LOCK
from orchestration.result_folder import writing_to
from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import Notify
from orchestration.settings import TorchVariant
from orchestration.wheelhouse import package_files

SUMS_FILE: Final = "SHA256SUMS"
# What pip builds the host side's packages with that are published as source only.
BUILD_LOCK: Final = "requirements-build.txt"
# There while packages are being collected; held by whoever does so.
_UNFINISHED: Final = ".unfinished"
# Between what a kill loses and the second that each start of pip takes.
_ENTRIES_AT_ONCE: Final = 16
_NEW_ENTRY: Final = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)
# glibc 2.28, of Debian 10, is older than any base image's. Tags of PEP 600, and those before it.
_NEWEST_GLIBC: Final = 28
_OLDER_TAGS: Final = ("manylinux2014", "manylinux2010", "manylinux1")
# Of Docker Desktop on Macs, whose machine is called otherwise inside.
_MACHINES: Final = {"arm64": "aarch64", "AMD64": "x86_64"}


@dataclass(frozen=True)
class Wanted:
    """Packages for one Python.

    Attributes:
        title: whose they are, for people.
        lock: requirements with versions and hashes.
        target: arguments of pip that say for which Python and machine; none = pip's own.
    """

    title: str
    lock: Path
    target: tuple[str, ...] = ()


def needs_collecting(folder: Path) -> bool:
    """Whether a wheelhouse is missing or empty, or its collection was cut short."""
    return not folder.is_dir() or (folder / _UNFINISHED).exists() or not any(folder.iterdir())


def collect(
    folder: Path,
    packages: Sequence[Wanted],
    torch_index: str,
    notify: Notify,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Put the files of all packages into a folder, with their hashes in SHA256SUMS.

    Args:
        folder: made if it is missing. Files that it has are not fetched again.
        packages: which ones.
        torch_index: where torch's CPU build is if pip's own settings do not lead to it; "" = there
            is no other place.
        notify: takes a line now and then.
        environment: the caller's.

    Raises:
        WheelhouseIncomplete: there is no pip, or a package cannot be had. What came before it is
            kept, and the next call goes on from there.
        DiskFull, OutputNotWritable: the folder cannot be written.
    """
    pip = _Pip(_find_pip(environment), folder, environment)
    with writing_to(folder.parent):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / _UNFINISHED, notify):
            for wanted in packages:
                _collect_one(pip, wanted, torch_index, notify)
            names = write_sums(folder)
            (folder / _UNFINISHED).unlink(missing_ok=True)
    notify(f"{len(names)} packages are in {folder}, with their hashes in {SUMS_FILE}")


def wanted_packages(torch_variant: TorchVariant) -> tuple[Wanted, ...]:
    """Of both images, and of the host side for the Python that runs."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    modern = _target("3.11", "cp311", machine)
    return (
        # TensorFlow 1.15 was built for no other machine.
        Wanted("stage 1", recipe_for("extract", "cpu").lock, _target("3.7", "cp37m", "x86_64")),
        Wanted("stage 2", recipe_for("load", torch_variant).lock, modern),
        Wanted("what the host side is built with", repository_folder() / BUILD_LOCK),
        Wanted("the host side", repository_folder() / HOST_LOCK),
    )


def write_sums(folder: Path) -> list[str]:
    """Write SHA256SUMS, as `sha256sum --check` reads it; returns the files' names, sorted."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    names = [name for name in names if name != SUMS_FILE and (folder / name).is_file()]
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    partial = folder / f".{SUMS_FILE}"
    partial.write_text("".join(lines), encoding="utf-8")
    partial.replace(folder / SUMS_FILE)
    return names


@dataclass(frozen=True)
class _Pip:
    """pip, and where it puts files. `program`: the command, without arguments."""

    program: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]

    def download(self, wanted: Wanted, entries: Sequence[str], *more: str) -> str:
        """Fetch entries of a lock; returns why that did not work, "" if it did."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.writelines(entries)
            file.flush()
            # --no-deps: the locks are complete. Without it pip asks for wheels alone, and one
            # package has none.
            options = ("--quiet", "--no-deps", "--require-hashes", "--dest", os.fspath(self.folder))
            command = (*self.program, "download", *options, *wanted.target, *more, "-r", file.name)
            answer = subprocess.run(
                command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        if answer.returncode == 0:
            return ""
        lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines or ["nothing"]
        return errors[-1].removeprefix("ERROR: ")


def _collect_one(pip: _Pip, wanted: Wanted, torch_index: str, notify: Notify) -> None:
    entries = _NEW_ENTRY.split(wanted.lock.read_text(encoding="utf-8"))
    entries = [entry for entry in entries if entry and not entry.startswith("#")]
    done = 0
    here = ("--no-index", "--find-links", os.fspath(pip.folder))
    if package_files(pip.folder) and not pip.download(wanted, entries, *here):
        notify(f"Packages of {wanted.title}: all {len(entries)} were there")
        return
    for some in _grouped(entries):
        # A group fails as a whole: one by one, those before the one that is missing are kept.
        if _fetch(pip, wanted, some, torch_index):
            for entry in some:
                if said := _fetch(pip, wanted, [entry], torch_index):
                    raise _incomplete(pip.folder, entry.split()[0], wanted, said)
        done += len(some)
        notify(f"Packages of {wanted.title}: {done} of {len(entries)}")


def _grouped(entries: Sequence[str]) -> Iterator[Sequence[str]]:
    """Torch's CPU build, which may come from an index of its own, apart."""
    own = [entry for entry in entries if _is_cpu_build(entry)]
    others = [entry for entry in entries if not _is_cpu_build(entry)]
    for start in range(0, len(others), _ENTRIES_AT_ONCE):
        yield others[start : start + _ENTRIES_AT_ONCE]
    yield from ([entry] for entry in own)


def _fetch(pip: _Pip, wanted: Wanted, entries: Sequence[str], torch_index: str) -> str:
    said = pip.download(wanted, entries)
    if said and torch_index and all(map(_is_cpu_build, entries)):
        return pip.download(wanted, entries, "--extra-index-url", torch_index)
    return said


def _is_cpu_build(entry: str) -> bool:
    return entry.split()[0].endswith("+cpu")


def _target(version: str, abi: str, machine: str) -> tuple[str, ...]:
    tags = [f"manylinux_2_{minor}" for minor in range(_NEWEST_GLIBC, 4, -1)] + [*_OLDER_TAGS]
    platforms = [*(f"{tag}_{machine}" for tag in tags), "any"]
    return (
        *("--python-version", version, "--implementation", "cp"),
        *(part for name in (abi, "abi3", "none") for part in ("--abi", name)),
        *(part for name in platforms for part in ("--platform", name)),
    )


def _find_pip(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The first pip of the Python that runs, or of another of the same version: it knows its tags.

    Raises:
        WheelhouseIncomplete: there is none.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    search = environment.get("PATH", os.defpath)
    base = getattr(sys, "_base_executable", sys.executable)
    named = [shutil.which(name, path=search) for name in (f"python{version}", "python3")]
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for python in dict.fromkeys((sys.executable, base, *named)):
        if python and subprocess.run([python, "-c", check], capture_output=True).returncode == 0:
            return (python, "-m", "pip", "--disable-pip-version-check", "--no-input")
    raise WheelhouseIncomplete(
        f"Packages cannot be collected: there is no pip for Python {version}.",
        "pip of the Python that runs this program was expected.",
        f"Run `{sys.executable} -m ensurepip`, or install python3-pip of your system.",
    )


def _incomplete(folder: Path, name: str, wanted: Wanted, said: str) -> WheelhouseIncomplete:
    return WheelhouseIncomplete(
        f"{name} for {wanted.title} cannot be had: {said.rstrip('.')}.",
        "A file with a hash of the lock was expected on an index, or in a folder, that pip's"
        " settings name.",
        "See that there is a network, or set PIP_INDEX_URL or PIP_FIND_LINKS, and run it again:"
        f" what is in {folder} is kept.",
    )
