"""manifest.json: what a result was made from, by what, when, and the hashes of its files.

Time, host and paths are told here and only here; the files that it lists do not hold any.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
FORMAT = "tf1-to-torch-manifest"
VERSION = 2
# Of programs that were never released: their results may be replaced, and are not read.
OLDER_VERSIONS = (1,)
_CONVERTED_ROLES = ("checkpoint", "data", "export")
_PIECE_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces, in hexadecimal digits."""
    digest = hashlib.sha256()
    buffer = bytearray(_PIECE_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def describe_files(folder: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Name (relative to the folder), size and hash of files, sorted by name."""
    return [
        {
            "name": name,
            "size_bytes": (folder / name).stat().st_size,
            "sha256": sha256_of(folder / name),
        }
        for name in sorted(names)
    ]


class BackgroundDescription:
    """`describe_files` in a thread, beside other work; hashing leaves the interpreter lock free.

    The thread is a daemon, so that a run that is given up does not wait for it.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self._names = tuple(names)
        self._found: list[dict[str, Any]] | OSError = []
        self._thread = threading.Thread(target=self._describe, daemon=True)
        self._thread.start()

    def result(self) -> list[dict[str, Any]]:
        """Wait for the description. Raises OSError if a file could not be read."""
        self._thread.join()
        if isinstance(self._found, OSError):
            raise self._found
        return self._found

    def _describe(self) -> None:
        try:
            self._found = describe_files(self._folder, self._names)
        except OSError as error:
            self._found = error


def changed_files(
    folder: Path, described: Sequence[Mapping[str, Any]], beside: Path | None = None
) -> list[str]:
    """Names of files that are missing, unreadable or not as described, sorted.

    Sizes are looked at first: nothing is read when those differ already. Nor is anything outside
    the folder, or what is no plain file: a description may come from anywhere, and a device has
    no end.

    Args:
        folder: where they are to lie.
        described: as by `describe_files`.
        beside: another folder, in which what is not in the first may lie.
    """
    folders = (folder,) if beside is None else (folder, beside)
    places = [
        (str(entry["name"]), entry, [place for place in folders if _has_size(place, entry)])
        for entry in described
    ]
    wrong = [name for name, _, found in places if not found]
    if wrong:
        return sorted(wrong)
    return sorted(
        name for name, entry, found in places if not any(_has_hash(place, entry) for place in found)
    )


def are_descriptions(value: Any) -> bool:
    """Whether a value is what `describe_files` gives."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and entry.keys() >= {"name", "size_bytes", "sha256"}
        for entry in value
    )


def file_names(folder: Path) -> list[str]:
    """Plain files below a folder, as relative paths; links are left out."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a manifest, complete with format, time and facts about this host."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "created": time_text(datetime.now(timezone.utc)),
        "host": _host_facts(),
        **content,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=True)
    path = folder / MANIFEST_FILE
    with path.open("w", encoding="ascii") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a result folder; None if the folder is no result of this version."""
    manifest = _read_any(folder)
    return manifest if _is_manifest(manifest) else None


def version_of(folder: Path) -> int | None:
    """Version of the manifest in a folder; None if the folder is no result of this program."""
    version = _read_any(folder).get("version")
    return version if type(version) is int and version in (*OLDER_VERSIONS, VERSION) else None


def converted_files(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Descriptions of the files of the checkpoint, or of the export, that a result is made from."""
    return [
        entry
        for one in manifest["inputs"]
        if one["role"] in _CONVERTED_ROLES
        for entry in one["files"]
    ]


def time_text(moment: datetime) -> str:
    """A moment as manifests tell it (ISO 8601, UTC, to the second)."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def _read_any(folder: Path) -> dict[str, Any]:
    """A manifest of whatever version; empty if there is none."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(manifest, dict) and manifest.get("format") == FORMAT
    return manifest if is_ours else {}


def _is_manifest(value: Mapping[str, Any]) -> bool:
    """Whether a value has what `previous_result` reads from a manifest of this version."""
    inputs = value.get("inputs")
    return (
        value.get("version") == VERSION
        and isinstance(value.get("request"), dict)
        and isinstance(value.get("verdict"), dict)
        and type(value["verdict"].get("exit_code")) is int
        and isinstance(inputs, list)
        and all(isinstance(one, dict) and are_descriptions(one.get("files")) for one in inputs)
        and all(isinstance(one.get("role"), str) for one in inputs)
        and are_descriptions(value.get("files"))
    )


def _has_size(folder: Path, entry: Mapping[str, Any]) -> bool:
    name = Path(str(entry["name"]))
    if name.is_absolute() or ".." in name.parts:
        return False
    try:
        status = (folder / name).stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == entry["size_bytes"]


def _has_hash(folder: Path, entry: Mapping[str, Any]) -> bool:
    try:
        return bool(sha256_of(folder / str(entry["name"])) == entry["sha256"])
    except OSError:
        return False


def _host_facts() -> dict[str, Any]:
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "user_id": os.getuid(),
        "executable": sys.executable,
    }
