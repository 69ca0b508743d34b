"""A wheelhouse: a folder of package files that takes the place of the package index.

Only files that a lock names, by their hash, are used; whatever else lies there is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import ImageBuildFailed
from orchestration.manifest import sha256_of

PACKAGE_SUFFIXES = (".whl", ".tar.gz", ".zip")
NAMES_LISTED = 10

_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(?P<marker>;[^\\]*)?"
)
_SEPARATORS = re.compile(r"[-_.]+")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class LockedPackage:
    """One package of a lock.

    Attributes:
        name: as the lock spells it.
        version: exact.
        conditional: the lock wants it on some platforms only.
        sha256: of every file that may be installed for it, in hexadecimal.
    """

    name: str
    version: str
    conditional: bool
    sha256: frozenset[str]


def read_lock(text: str) -> list[LockedPackage]:
    """Parse requirements as `uv pip compile --generate-hashes` writes them."""
    packages = []
    for entry in text.replace("\\\n", " ").splitlines():
        match = _REQUIREMENT.match(entry)
        if match:
            hashes = frozenset(_HASH.findall(entry))
            packages.append(
                LockedPackage(match["name"], match["version"], bool(match["marker"]), hashes)
            )
    return packages


def select_files(lock: str, folder: Path) -> list[Path]:
    """Files of a wheelhouse that a lock names, sorted by name; subfolders are searched too.

    Raises:
        ImageBuildFailed: the folder is missing, or lacks packages; all of them are named.
    """
    if not folder.is_dir():
        raise ImageBuildFailed(
            f"The wheelhouse {folder} is not a folder.",
            "A folder with the locked packages' files was expected.",
            "Make one where there is a network: `make wheelhouse`.",
        )
    found = _find(lock, folder)
    missing = [
        f"{package.name}=={package.version}"
        for package in read_lock(lock)
        if not package.conditional and package.sha256.isdisjoint(found)
    ]
    if missing:
        more = "" if len(missing) <= NAMES_LISTED else f" and {len(missing) - NAMES_LISTED} more"
        raise ImageBuildFailed(
            f"The wheelhouse {folder} lacks {', '.join(missing[:NAMES_LISTED])}{more}.",
            "A file with a hash of the lock was expected for every package.",
            "Fill it where there is a network: `make wheelhouse`.",
        )
    return _by_name(found)


def find_files(lock: str, folder: Path) -> list[Path]:
    """Files of a folder that a lock names, however few, sorted by name."""
    return _by_name(_find(lock, folder))


def package_files(folder: Path) -> list[Path]:
    """All files of packages in a folder and below it, sorted."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith(PACKAGE_SUFFIXES))


def normalised_name(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def _find(lock: str, folder: Path) -> dict[str, Path]:
    """SHA-256 -> file, for each hash of the lock that some file in the folder has."""
    wanted = frozenset().union(*(package.sha256 for package in read_lock(lock)))
    found: dict[str, Path] = {}
    for path in package_files(folder):
        if (digest := sha256_of(path)) in wanted:
            found[digest] = path
    return found


def _by_name(found: dict[str, Path]) -> list[Path]:
    return sorted(found.values(), key=lambda path: path.name)
