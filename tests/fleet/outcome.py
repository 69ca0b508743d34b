"""What a batch has left in its folder, read without the code under test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Tells times, hosts and memory.
MANIFEST = "manifest.json"
OF_THE_BATCH = frozenset({"batch", ".work", "summary.csv", "summary.html"})

Record = Mapping[str, Any]


def attempts(out: Path) -> dict[str, list[Record]]:
    """Item -> its records in the ledger, the first attempt first."""
    found: dict[str, list[Record]] = {}
    for path in (out / "batch" / "ledger").glob("*.json"):
        record = json.loads(path.read_bytes())
        found.setdefault(record["name"], []).append(record)
    return {name: sorted(found[name], key=lambda one: one["attempt"]) for name in sorted(found)}


def ends(out: Path) -> dict[str, str]:
    """Item -> its verdict, or the class of its failure, or how else its last attempt stands."""
    return {name: _end(records[-1]) for name, records in attempts(out).items()}


def _end(record: Record) -> str:
    if record["state"] == "done":
        return str(record["result"]["verdict"])
    if record["state"] == "failed":
        return str(record["failure"]["class_name"])
    return str(record["state"])


def reasons(out: Path, names: Iterable[str]) -> dict[str, Any]:
    """The last record of some items, in which what happened is told."""
    records = attempts(out)
    return {name: records[name][-1] for name in names}


def results(out: Path) -> dict[str, Path]:
    """Item -> its result folder."""
    return {path.name: path for path in out.iterdir() if path.name not in OF_THE_BATCH}


def _files(out: Path) -> Iterator[Path]:
    for folder in results(out).values():
        yield from (path for path in folder.rglob("*") if path.is_file())


def contents(out: Path) -> dict[str, str]:
    """File of a result, seen from the batch's folder -> hash; without the manifests."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _files(out)
        if path.name != MANIFEST
    }


def file_times(out: Path) -> dict[str, tuple[int, int]]:
    """File of a result or of the ledger -> inode and time of its last change."""
    paths = [*_files(out), *(out / "batch" / "ledger").iterdir()]
    stats = {str(path.relative_to(out)): path.stat() for path in paths}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}
