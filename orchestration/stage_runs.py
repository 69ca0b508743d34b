"""One run of each stage: start it early, send its job, take its answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orchestration.conversation import Conversation, Worker
from orchestration.export_reuse import ExportRecord, take_over, why_not_reusable
from orchestration.handoff import check_export
from orchestration.manifest import time_text
from orchestration.result_folder import ResultFolder, writing_to
from orchestration.run_paths import CheckpointPath
from orchestration.runtimes.base import Event
from orchestration.settings import ExtractOptions, LoadOptions, RuntimeOptions
from orchestration.stage_files import take_over_from_stage
from orchestration.stage_specs import (
    check_job,
    extract_job,
    extract_spec,
    load_job,
    load_spec,
)


@dataclass(frozen=True)
class Exported:
    """An export that lies in the run's folder, checked.

    Attributes:
        files: names of its files.
        record: what the manifest tells about stage 1.
    """

    files: tuple[str, ...]
    record: dict[str, Any]


class ExtractRun:
    """Stage 1 on one checkpoint.

    Args:
        talk: starts the stage and hears its events.
        checkpoint: what to export.
        options: how.
        runtime: limits of the process.
        folder: the run's folder; the export goes to `folder.export`.
    """

    def __init__(
        self,
        talk: Conversation,
        checkpoint: CheckpointPath,
        options: ExtractOptions,
        runtime: RuntimeOptions,
        folder: ResultFolder,
    ) -> None:
        self._talk = talk
        self._checkpoint = checkpoint
        self._options = options
        self._runtime = runtime
        self._folder = folder
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start the process and send its job, which it takes up once TensorFlow is imported."""
        folder = self._folder
        spec = extract_spec(
            self._checkpoint, folder.export, self._options, self._runtime, folder.keep_open
        )
        self._worker = self._talk.start(spec)
        job = extract_job(
            "extract", self._worker.process, self._checkpoint, folder.export, self._options
        )
        self._talk.post("extract", job, is_last=True)

    def finish(self) -> Exported:
        """Wait for the answer, and check the export.

        Raises:
            OrchestrationError: the stage failed or died, or its export is not valid.
        """
        if self._worker is None:
            self.start()
        assert self._worker is not None
        done = self._talk.wait_for("extract", "extract")
        files = check_export(self._folder.export)
        with writing_to(self._folder.out.parent):
            take_over_from_stage(self._folder.export)
        record = extract_record(self._options, self._worker, done)
        return Exported(files, record)

    def reuse_or_finish(
        self, earlier: ExportRecord | None, notify: Callable[[str], None]
    ) -> Exported:
        """Take over an earlier export if it still holds, else let the stage make one."""
        if earlier is None:
            return self.finish()
        folder = self._folder
        with writing_to(folder.out.parent):
            taken = take_over_earlier(
                earlier, self._checkpoint, self._options, folder.export, notify
            )
        return self.finish() if taken is None else taken


def take_over_earlier(
    earlier: ExportRecord,
    checkpoint: CheckpointPath,
    options: ExtractOptions,
    folder: Path,
    notify: Callable[[str], None],
) -> Exported | None:
    """Put an earlier export into `folder` if it still holds; None, and why is said, if not.

    Raises:
        OSError: the folder cannot be written.
    """
    problem = why_not_reusable(earlier, checkpoint, options.data_folder)
    if problem is not None:
        notify(f"The export in {earlier.folder} is not used again: {problem}")
        return None
    notify(f"Using the export of an earlier run again: {earlier.folder}")
    names = [str(entry["name"]) for entry in earlier.files]
    take_over(earlier.folder, names, folder)
    record = {**earlier.stage, "reused_from": os.fspath(earlier.folder)}
    return Exported(check_export(folder), record)


class LoadRun:
    """Stage 2 on one export.

    Args:
        talk: starts the stage and hears its events.
        load: what to make of the export.
        runtime: device, and limits of the process.
        folder: the run's folder; the stage reads `folder.export` and writes `folder.result`.
    """

    def __init__(
        self, talk: Conversation, load: LoadOptions, runtime: RuntimeOptions, folder: ResultFolder
    ) -> None:
        self._talk = talk
        self._load = load
        self._runtime = runtime
        self._folder = folder
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start the process, which imports torch while stage 1 works, and let it check its options.

        A name typed wrong is found now, and not after the extraction.
        """
        folder = self._folder
        spec = load_spec(folder.export, folder.result, self._load, self._runtime, folder.keep_open)
        self._worker = self._talk.start(spec)
        job = check_job(self._worker.process, self._load, self._runtime.device)
        self._talk.post("load", job)

    def finish(self) -> dict[str, Any]:
        """Send the export and wait for the answer.

        Returns:
            What the manifest tells about stage 2.

        Raises:
            OrchestrationError: the stage failed or died.
        """
        assert self._worker is not None
        folder = self._folder
        job = load_job(
            self._worker.process, folder.export, folder.result, self._load, self._runtime.device
        )
        self._talk.post("load", job, is_last=True)
        done = self._talk.wait_for("load", "load")
        with writing_to(folder.out.parent):
            take_over_from_stage(folder.result)
        return load_record(self._worker, done)


def load_record(worker: Worker, done: Event) -> dict[str, Any]:
    """What the manifest tells about stage 2 and a job that it has done."""
    return {"device": (worker.ready or {}).get("device"), **process_record(worker, done)}


def extract_record(options: ExtractOptions, worker: Worker, done: Event) -> dict[str, Any]:
    """What the manifest tells about stage 1 and a job that it has done."""
    return {"reader": options.reader, **process_record(worker, done), "reused_from": None}


def process_record(worker: Worker, done: Event) -> dict[str, Any]:
    """What the manifest tells about one stage's process and its job."""
    ready = worker.ready or {}
    return {
        "argv": worker.process.argv,
        **worker.home,
        "started": time_text(worker.sent[done["job"]]),
        "ended": time_text(datetime.now(timezone.utc)),
        "versions": ready.get("versions", {}),
        "import_s": ready.get("import_s"),
        "timings_s": done.get("timings_s", {}),
        "peak_memory_bytes": done.get("peak_memory_bytes"),
        "result": done["result"],
    }
