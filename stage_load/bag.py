"""Finds the result in an archive (a bag: BagIt, RFC 8493), and checks what is read of it."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stage_load.errors import ResultDamaged
from stage_load.plain_files import open_plain_file, read_plain_file

RESULT = "data/result"
"""Where the result folder lies in a bag."""

_DECLARATION = "bagit.txt"
_MANIFESTS: Mapping[str, str] = {
    "sha256": "manifest-sha256.txt",
    "sha512": "manifest-sha512.txt",
}
_LINE = re.compile(r"([0-9a-fA-F]+)\s+(.+)")
# RFC 8493, 2.1.3; writers leave "%" itself as it is.
_ESCAPES = {"%0A": "\n", "%0D": "\r"}
_MOST_MANIFEST_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Bag:
    """A bag that is a folder.

    Attributes:
        folder: the bag.
        algorithm: of its hashes.
        listed: path from the bag's folder on -> hash, in hexadecimal digits.
    """

    folder: Path
    algorithm: str
    listed: Mapping[str, str]

    @property
    def result(self) -> Path:
        """The result folder in it."""
        return self.folder / RESULT

    def check_file(self, name: str) -> None:
        """Compare a file of the result with the bag's list.

        Args:
            name: below the result folder.

        Raises:
            ResultDamaged: it is missing, not listed, or not as it was put away.
        """
        path = f"{RESULT}/{name}"
        listed = self.listed.get(path)
        if listed is None and not (self.folder / path).exists():
            raise ResultDamaged(
                f"The bag {self.folder} has no {path}.",
                "Expected the archive of a result with a model.",
                "If an export lies in it, `orchestrate.py load` makes a model of that.",
            )
        if listed is None:
            raise _damaged(f"{path} of the bag {self.folder} is in no list of its files.")
        try:
            found = _hash_of(self.folder / path, self.algorithm)
        except OSError as error:
            raise _damaged(
                f"{path} of the bag {self.folder} cannot be read: {error.strerror}."
            ) from error
        if found != listed:
            raise _damaged(
                f"{path} of the bag {self.folder} has changed: "
                f"its {self.algorithm} is {found}, listed is {listed}."
            )

    def check_folder(self, name: str) -> None:
        """Compare all files below a folder of the result with the bag's list, in both directions.

        Raises:
            ResultDamaged: as ``check_file``; a file that was added is one that is not listed.
        """
        folder = self.result / name
        present = {
            path.relative_to(self.result).as_posix()
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
        start = f"{RESULT}/{name}/"
        listed = {path.removeprefix(f"{RESULT}/") for path in self.listed if path.startswith(start)}
        for file in sorted(present | listed):
            self.check_file(file)


def find_bag(path: Path) -> Bag | None:
    """Return the bag that a folder is; ``None`` for any other folder.

    Raises:
        ResultDamaged: the bag is still packed into one file, or has no list of its files.
    """
    if path.is_file():
        raise ResultDamaged(
            f"{path} is a file.",
            "Expected a result folder, or an archive (a bag) that is a folder.",
            f"Unpack it, with `tar --zstd -xf {shlex.quote(str(path))}` if it is a .tar.zst, "
            "and give the folder.",
        )
    if not any((path / name).is_file() for name in (_DECLARATION, *_MANIFESTS.values())):
        return None
    for algorithm, name in _MANIFESTS.items():
        if (path / name).is_file():
            return Bag(path, algorithm, _read_manifest(path / name))
    raise _damaged(f"The bag {path} has neither {' nor '.join(_MANIFESTS.values())}.")


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        text = read_plain_file(path, _MOST_MANIFEST_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise _damaged(f"{path} cannot be read: {error.strerror}.") from error
    found: dict[str, str] = {}
    for line in filter(None, re.split(r"\r\n|\r|\n", text)):
        match = _LINE.fullmatch(line)
        if match is None:
            raise _damaged(f"{path} has a line that is no hash with a path: {line[:80]!r}.")
        name = re.sub("%0[AD]", lambda escape: _ESCAPES[escape[0]], match[2])
        found[name] = match[1].lower()
    return found


def _hash_of(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    buffer = bytearray(_PIECE_BYTES)
    with open_plain_file(path) as file:
        view = memoryview(buffer)
        while count := os.readv(file.fileno(), [view]):
            digest.update(view[:count])
    return digest.hexdigest()


def _damaged(happened: str) -> ResultDamaged:
    return ResultDamaged(
        happened,
        "Expected the bag as it was put away.",
        "Take an untouched copy of it; `orchestrate.py verify` names all that has changed.",
    )
