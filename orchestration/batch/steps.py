"""What the host does to an item: before the stages, between them and after them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from orchestration.batch.done_check import INPUT, RESULT, Fingerprint, fingerprint
from orchestration.batch.ending import Ending
from orchestration.batch.item_log import ItemLog
from orchestration.batch.journal import Journal
from orchestration.batch.lane_folder import ItemFolder, LaneFolder
from orchestration.batch.ledger import Attempt
from orchestration.batch.planned import Identity, PlannedItem
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stage_answers import check_answer
from orchestration.batch.work import Work
from orchestration.conversation import Worker
from orchestration.errors import CheckpointMissing, OrchestrationError, ResultExists, StageFailed
from orchestration.export_reuse import ExportIndex, ExportRecord
from orchestration.handoff import check_export
from orchestration.manifest import BackgroundDescription, converted_files
from orchestration.proposals import keep_proposals
from orchestration.publishing import EXPORT_FOLDER, publish_result
from orchestration.readers import home_of_stage_1
from orchestration.result_folder import writing_to
from orchestration.run_context import RunContext
from orchestration.run_paths import CheckpointPath
from orchestration.run_record import asked_record, checkpoint_inputs, given_inputs
from orchestration.runtimes.base import Event
from orchestration.stage_files import take_over_from_stage
from orchestration.stage_runs import Exported, extract_record, load_record, take_over_earlier
from orchestration.summary import error_lines


class Steps:
    """The steps of every item of a batch; safe to use from all lanes.

    Args:
        folder: of the batch.
        journal: takes the ends of items.
        context: of the command.
    """

    def __init__(self, folder: BatchFolder, journal: Journal, context: RunContext) -> None:
        self._folder = folder
        self._journal = journal
        self._context = context
        self._exports = ExportIndex(context.environment)
        # Of plain processes it is a hash over all of a stage's sources.
        self._identity: Identity = cache(context.runtime.identity)

    def open_work(self, planned: PlannedItem, attempt: Attempt, lane: LaneFolder) -> Work:
        """What belongs to an attempt that was just claimed."""
        name = planned.item.name
        folder = ItemFolder(lane, name, planned.out)
        log = ItemLog(self._folder.logs / f"{name}.{attempt.record.attempt}.log")
        return Work(planned, attempt, folder, log, _seen_inputs(planned))

    def make_room(self, work: Work) -> None:
        """Look once more whether everything is there, and make the folders.

        Raises:
            CheckpointMissing: something has gone since the batch began.
            DiskFull, OutputNotWritable: the folders cannot be made.
        """
        missing = work.planned.missing()
        if missing is not None:
            raise CheckpointMissing(
                f"{missing} is not there any more.",
                "What the items name was expected to stay until the batch ends.",
                "Bring it back, and run the batch again with --retry-failed.",
            )
        work.folder.make()

    def reuse_export(self, work: Work) -> bool:
        """Take over an export that an earlier run has made, if there is one that holds."""
        planned = work.planned
        earlier = None if planned.item.settings.force else self._exports.find(planned.export_key)
        if earlier is None:
            return False
        with writing_to(self._folder.out):
            work.folder.export.mkdir()
            exported = take_over_earlier(
                earlier, planned.checkpoint, planned.options, work.folder.export, work.log.write
            )
            if exported is None:
                work.folder.export.rmdir()
                return False
        work.exported = exported
        work.files = BackgroundDescription(work.folder.export, exported.files)
        return True

    def take_export(self, work: Work, worker: Worker, done: Event) -> None:
        """Check what stage 1 wrote, and take it out of its sight.

        Raises:
            ExportInvalid, StageCrashed: it is no export.
        """
        folder = work.folder
        check_answer("extract", done)
        files = check_export(folder.reading)
        with writing_to(self._folder.out):
            take_over_from_stage(folder.reading)
        folder.keep_export()
        record = extract_record(work.planned.options, worker, done)
        work.exported = Exported(files, record)
        work.files = BackgroundDescription(folder.export, files)

    def take_result(self, work: Work, worker: Worker, done: Event) -> None:
        """Check what stage 2 wrote.

        Raises:
            StageCrashed: there are links or pipes in it.
        """
        check_answer("load", done)
        with writing_to(self._folder.out):
            take_over_from_stage(work.folder.result)
        work.load_record = load_record(worker, done)

    def publish(self, work: Work) -> Mapping[str, Any]:
        """Hash a result, write its manifest and put it into its place.

        Returns:
            The manifest: of the result that is there now.

        Raises:
            ResultExists: another one has appeared there.
            DiskFull, OutputNotWritable: the file system refuses.
        """
        exported, files = work.exported, work.files
        assert exported is not None
        assert files is not None
        parts = self._parts(work, exported)
        context = self._context
        own = RunContext(
            lambda: context.runtime,
            context.display,
            context.argv,
            context.environment,
            started_s=work.started_s,
        )
        try:
            manifest = publish_result(work.folder, files, parts, self._replaces(work), own)
        except ResultExists:
            return _twin(work.planned)
        record = ExportRecord(work.folder.out / EXPORT_FOLDER, files.result(), exported.record)
        self._exports.add(work.planned.export_key, record)
        return manifest

    def _parts(self, work: Work, exported: Exported) -> dict[str, Any]:
        """What the manifest of a result tells besides its files."""
        planned, settings = work.planned, work.planned.item.settings
        found = replace(
            settings,
            checkpoint=planned.checkpoint.path,
            out=planned.out,
            extract=planned.options,
        )
        with writing_to(self._folder.out):
            inputs = checkpoint_inputs(planned.checkpoint, planned.options, exported.record)
            inputs += given_inputs(settings.load, settings.runtime, work.folder.result)
        return {
            **asked_record(found, self._context.runtime.name),
            "request": planned.request,
            "inputs": inputs,
            "extract": exported.record,
            "load": work.load_record,
            "batch": self._batch_record(work),
        }

    def _replaces(self, work: Work) -> bool:
        """Whether the result takes the place of what is there: of what is known not to be right."""
        planned = work.planned
        if planned.outdated is None:
            return planned.item.settings.force
        now = planned.check({})
        if now.problem is None and now.manifest != planned.outdated.manifest:
            # Another process has been quicker.
            return False
        if planned.outdated.is_touched:
            # Perhaps by hand: what this program has not made is not for it to delete.
            attempt = work.attempt.record.attempt
            work.folder.aside = self._folder.replaced / f"{work.name}.{attempt}"
        return True

    def explain(self, work: Work, error: OrchestrationError) -> None:
        """Write down why an item fails, and keep what stage 2 proposes instead of a result."""
        work.log.write("\n".join(error_lines(error)))
        if not isinstance(error, StageFailed):
            return
        if error.stage_traceback:
            work.log.write(str(error.stage_traceback))
        proposals = keep_proposals(work.folder.result, self._folder.logs / work.name)
        if proposals is not None:
            work.log.write(
                f"The best proposals are in {proposals}: complete the lines whose rule is '?', and"
                " name the file in the column `map`."
            )

    def record(self, work: Work, ending: Ending) -> Ending:
        """Record how an item ended; what was said meanwhile is complete.

        Raises:
            DiskFull, OutputNotWritable: that cannot be written.
        """
        with writing_to(self._folder.logs):
            work.log.close()
        if work.log.exists:
            ending = replace(ending, log=os.path.relpath(work.log.path, self._folder.out))
        seen = _seen(work, ending.manifest) if ending.manifest else None
        self._journal.finish(work.attempt, ending, seen)
        return ending

    def _batch_record(self, work: Work) -> dict[str, Any]:
        """What tells a result of a batch from one of the single command."""
        home = home_of_stage_1(work.planned.reader)
        return {
            "item": work.name,
            "where": work.planned.item.where,
            "attempt": work.attempt.record.attempt,
            "stages": {
                "extract": self._identity("extract", home),
                "load": self._identity("load", None),
            },
        }


def _twin(planned: PlannedItem) -> Mapping[str, Any]:
    """Manifest of the same result by another process, which was first."""
    out = planned.out
    check = planned.check({})
    if check.problem is not None or check.manifest is None:
        raise ResultExists(
            f"The output {out} has appeared while this item was worked on, and {check.problem}.",
            "Another process that does the same was expected to come to the same.",
            "Choose another folder with --out, or replace the result with --force.",
        )
    return check.manifest


def _seen_inputs(planned: PlannedItem) -> dict[str, Fingerprint]:
    """State of the checkpoint's files by name, as `done_check` keeps it."""
    folders = planned.input_folders
    found = {}
    for folder in folders:
        for path in CheckpointPath(folder, planned.checkpoint.name).files():
            name = path.relative_to(folder).as_posix()
            found[name] = fingerprint(folders, name)
    return {name: state for name, state in found.items() if state is not None}


def _seen(work: Work, manifest: Mapping[str, Any]) -> dict[str, Fingerprint]:
    """State of the files that a result was made from and consists of."""
    out = (work.planned.out,)
    inputs = [str(entry["name"]) for entry in converted_files(manifest)]
    results = [str(entry["name"]) for entry in manifest["files"]]
    found = {INPUT + name: work.seen.get(name) for name in inputs}
    found |= {RESULT + name: fingerprint(out, name) for name in results}
    return {name: state for name, state in found.items() if state is not None}
