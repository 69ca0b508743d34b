"""The last step of a run: hashes, manifest, rename."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.manifest import (
    BackgroundDescription,
    describe_files,
    file_names,
    write_manifest,
)
from orchestration.result_folder import ResultFolder, writing_to
from orchestration.run_context import RunContext

EXPORT_FOLDER = "export"


def publish_result(
    folder: ResultFolder,
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
    folder: ResultFolder,
    made: Path,
    parts: Mapping[str, Any],
    force: bool,
    context: RunContext,
) -> dict[str, Any]:
    """Write the manifest into the folder that was made, and rename that to the output."""
    content = {
        **parts,
        "argv": list(context.argv),
        "runtime": context.runtime.name,
        "total_s": round(time.monotonic() - context.started_s, 3),
    }
    with writing_to(folder.out.parent):
        write_manifest(made, content)
    folder.publish(made, replace=force)
    return content
