"""Finding the export that an earlier run made from the same checkpoint with the same options.

An index in the user's cache folder tells where results lie. Nothing is believed unseen: the
checkpoint's files and the export's files are hashed before an export is used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.manifest import VERSION, are_descriptions, changed_files, sha256_of
from orchestration.run_paths import CheckpointPath, cache_folder
from orchestration.settings import ExtractOptions

_STATE_FILE = "checkpoint"


@dataclass(frozen=True)
class ExportRecord:
    """An export that was made, and what it was made from.

    Attributes:
        folder: where it lies.
        files: its files, as `manifest.describe_files` tells them.
        stage: what `manifest.json` tells about the run of stage 1; its result lists the
            checkpoint's files with their hashes.
    """

    folder: Path
    files: list[dict[str, Any]]
    stage: dict[str, Any]


def export_key(
    checkpoint: CheckpointPath, options: ExtractOptions, extractor: Mapping[str, Any]
) -> str:
    """Key under which an export is filed; where the checkpoint lies does not matter.

    Args:
        checkpoint: what is to be exported.
        options: how.
        extractor: identity of the stage that does it.
    """
    parts = {
        # A record goes into the manifests of later results.
        "version": VERSION,
        "stem": checkpoint.stem,
        "files": [[path.name, path.stat().st_size] for path in checkpoint.files()],
        "state_sha256": None if checkpoint.name else _state_sha256(checkpoint.folder),
        "options": _named_options(checkpoint, options),
        "extractor": extractor,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _named_options(checkpoint: CheckpointPath, options: ExtractOptions) -> dict[str, Any]:
    """The options, with the files of a data folder in place of the place where it lies."""
    if options.data_folder is None:
        return options.to_job()
    files = CheckpointPath(options.data_folder, checkpoint.name).files()
    listed = [[path.name, path.stat().st_size] for path in files]
    return {**options.to_job(), "data_folder": listed}


def _state_sha256(folder: Path) -> str | None:
    """Hash of a folder's `checkpoint` file; None without one that can be read."""
    path = folder / _STATE_FILE
    try:
        return sha256_of(path) if path.is_file() else None
    except PermissionError:
        return None


class ExportIndex:
    """The list of exports that were made, one small file each.

    Args:
        environment: the caller's, which tells where the cache folder is.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = cache_folder(environment) / "exports"

    def find(self, key: str) -> ExportRecord | None:
        """The record filed under a key, if its export is still there.

        Its content is not checked.
        """
        try:
            entry = json.loads((self._folder / f"{key}.json").read_bytes())
            record = ExportRecord(Path(entry["folder"]), entry["files"], entry["stage"])
            inputs = entry["stage"]["result"]["checkpoint"]["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_record = are_descriptions(record.files) and are_descriptions(inputs)
        return record if is_record and record.folder.is_dir() else None

    def add(self, key: str, record: ExportRecord) -> None:
        """File a record. A cache that cannot be written is no reason to fail."""
        entry = {
            "folder": os.fspath(record.folder),
            "files": record.files,
            "stage": record.stage,
        }
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as stream:
                json.dump(entry, stream)
            os.replace(stream.name, self._folder / f"{key}.json")


def why_not_reusable(
    record: ExportRecord, checkpoint: CheckpointPath, data_folder: Path | None = None
) -> str | None:
    """Compare hashes of the checkpoint and of the export; None = both are what they were."""
    inputs = record.stage["result"]["checkpoint"]["files"]
    changed = changed_files(checkpoint.folder, inputs, data_folder)
    if changed:
        return f"the checkpoint has changed: {', '.join(changed)}"
    changed = changed_files(record.folder, record.files)
    return f"the earlier export has changed: {', '.join(changed)}" if changed else None


def take_over(source: Path, names: Iterable[str], folder: Path) -> None:
    """Put an export's files into `folder`: as hard links, or as copies on another disk."""
    for name in names:
        try:
            os.link(source / name, folder / name)
        except OSError:
            shutil.copyfile(source / name, folder / name)
