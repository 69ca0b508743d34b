"""Packages of the user's own beside those of the load stage: a requirements file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import click

from orchestration.wheelhouse import package_files, read_lock

# What lies beside the file would have to come along, and would be in no hash.
_ELSEWHERE = re.compile(
    r"\s*(?:-r|-c|-e|-f|--requirement|--constraint|--editable|--find-links|\.|/|file:)|.*@\s*file:"
)


def requirements_file(text: str) -> Path:
    """A requirements file that stands alone, as an option's value."""
    path = Path(os.path.realpath(os.path.expanduser(text)))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{text!r} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if _ELSEWHERE.match(line):
            raise click.BadParameter(
                f"line {number} of {text!r} leads to another file: {line.strip()}. Write names and"
                " versions of packages; local ones go as wheels into a folder for --wheelhouse."
            )
    return path


def constraints(lock: str) -> str:
    """The versions of a lock as constraints: packages of the user's own change none of them."""
    return "".join(f"{package.name}=={package.version}\n" for package in read_lock(lock))


def requirements_sha256(requirements: Path, wheelhouse: Path | None) -> str:
    """Hash over a requirements file, and names and sizes in the folder of wheels it is met from."""
    digest = hashlib.sha256(requirements.read_bytes())
    if wheelhouse is not None:
        for path in package_files(wheelhouse):
            digest.update(f"\0{path.name}\0{path.stat().st_size}".encode())
    return digest.hexdigest()
