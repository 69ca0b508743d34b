"""The last step of a run: hashes, manifest, rename."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from orchestration.hardware import hardware_record
from orchestration.manifest import (
    BackgroundDescription,
    describe_files,
    file_names,
    time_text,
    write_manifest,
)
from orchestration.result_folder import writing_to
from orchestration.run_context import RunContext
from orchestration.run_record import seeds_record, verdict_record

EXPORT_FOLDER = "export"


class WorkFolder(Protocol):
    """Where a result is made."""

    @property
    def out(self) -> Path:
        """The result folder to publish."""

    @property
    def export(self) -> Path:
        """What stage 1 wrote."""

    @property
    def result(self) -> Path:
        """What stage 2 wrote."""

    def publish(self, folder: Path, replace: bool) -> None:
        """Rename `folder` (one of these) to the result; `replace` an earlier one.

        Raises:
            ResultExists: something else has appeared there.
        """


def publish_result(
    folder: WorkFolder,
    export_files: BackgroundDescription,
    parts: Mapping[str, Any],
    force: bool,
    context: RunContext,
) -> dict[str, Any]:
    """Put the export into stage 2's folder, and publish that."""
    with writing_to(folder.out.parent):
        files = describe_files(folder.result, file_names(folder.result))
        files += [
            {**entry, "name": f"{EXPORT_FOLDER}/{entry['name']}"} for entry in export_files.result()
        ]
        folder.export.rename(folder.result / EXPORT_FOLDER)
    return publish(folder, folder.result, {**parts, "files": files}, force, context)


def publish(
    folder: WorkFolder,
    made: Path,
    parts: Mapping[str, Any],
    force: bool,
    context: RunContext,
) -> dict[str, Any]:
    """Write the manifest into the folder that was made, and rename that to the output."""
    load = parts.get("load")
    content = {
        **parts,
        "argv": list(context.argv),
        "runtime": context.runtime.name,
        "hardware": hardware_record(None if load is None else load["device"]),
        "seeds": seeds_record(parts),
        "verdict": verdict_record(load),
        "started": time_text(context.started),
        "ended": time_text(datetime.now(timezone.utc)),
        "total_s": round(time.monotonic() - context.started_s, 3),
    }
    with writing_to(folder.out.parent):
        write_manifest(made, content)
    folder.publish(made, replace=force)
    return content
