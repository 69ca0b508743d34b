"""The `apptainer` program of this machine, or `singularity` where it goes by that name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.errors import EngineNotInstalled, EngineRefused
from orchestration.runtimes.apptainer_arguments import caller_environment

NAMES = ("apptainer", "singularity")
OLDEST = (1, 0)
_VERSION = re.compile(r"apptainer version (\d+)\.(\d+)[^\s]*")


@dataclass(frozen=True)
class Program:
    """An installation. `path` is its program, `version` what it says, such as "1.4.5"."""

    path: str
    version: str

    @property
    def title(self) -> str:
        """For people."""
        return f"Apptainer {self.version}"


def find_program(environment: Mapping[str, str]) -> Program:
    """The first program of either name on the caller's PATH that is Apptainer 1.0 or later.

    Raises:
        EngineNotInstalled: there is none, or only another or older one.
    """
    search = environment.get("PATH", os.defpath)
    others = []
    for name in NAMES:
        path = shutil.which(name, path=search)
        if path is None:
            continue
        said = run(path, ["--version"], caller_environment(environment)).strip()
        match = _VERSION.match(said)
        if match is not None and (int(match[1]), int(match[2])) >= OLDEST:
            return Program(path, said.split()[-1])
        others.append(f"{path} is {said}")
    raise EngineNotInstalled(
        f"There is no Apptainer on this machine: {', '.join(others) or 'no such program'}.",
        "Apptainer 1.0 or later was expected, by that name or by that of singularity.",
        "Load it (`module load apptainer`), ask those who run the machine for it, or pass"
        " `--runtime local`.",
    )


def run(path: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a short command of Apptainer's writes.

    Raises:
        EngineRefused: it ended with an error; in its own words.
    """
    try:
        answer = subprocess.run(
            [path, "--nocolor", "--silent", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise refusal(arguments, str(error)) from error
    if answer.returncode != 0:
        raise refusal(arguments, answer.stderr)
    return answer.stdout


def refusal(arguments: Sequence[str], said: str) -> EngineRefused:
    """The error for a command that did not end well."""
    words = " / ".join(line.strip() for line in said.splitlines() if line.strip())
    return EngineRefused(
        f"`apptainer {arguments[0]}` failed: {words or 'it said nothing'}.",
        "It was expected to do what it was asked for.",
        "Try it by hand; `python orchestrate.py doctor` says what works here.",
    )
