"""The commands that run stages: convert, extract, load, inspect.

A result appears whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestration.errors import StageFailed
from orchestration.export_reuse import ExportIndex, ExportRecord, export_key, take_over
from orchestration.handoff import check_export
from orchestration.manifest import BackgroundDescription
from orchestration.previous_result import check_out, up_to_date_manifest
from orchestration.proposals import keep_proposals
from orchestration.publishing import EXPORT_FOLDER, publish, publish_result
from orchestration.readers import home_of_stage_1, with_chosen_reader
from orchestration.result_folder import ResultFolder, writing_to
from orchestration.result_request import convert_request, load_request
from orchestration.run_context import Outcome, RunContext
from orchestration.run_paths import CheckpointPath, find_checkpoint, find_export
from orchestration.run_record import (
    asked_record,
    checkpoint_inputs,
    export_input,
    given_inputs,
)
from orchestration.runtimes.base import Stage
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    InspectSettings,
    LoadSettings,
)
from orchestration.stage_runs import Exported, ExtractRun, LoadRun
from orchestration.stage_specs import extract_job, extract_spec
from orchestration.summary import shown_path

EXTRACT: Stage = "extract"
LOAD: Stage = "load"


def convert(settings: ConvertSettings, context: RunContext) -> Outcome:
    """Export a checkpoint, load it into a torch model and prove that both compute the same.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    out = check_out(settings.out, settings.force, checkpoint.folder)
    options = _prepared(settings.extract, context, also=LOAD)
    exports = _Exports.of(checkpoint, options, context)
    request = convert_request(
        exports.key, settings.load, settings.runtime.device, context.runtime.identity(LOAD)
    )
    earlier = _earlier_outcome(out, settings.force, request, checkpoint.folder, options.data_folder)
    if earlier is not None:
        return earlier
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        extract_run = ExtractRun(talk, checkpoint, options, settings.runtime, folder)
        record = exports.find(settings.force)
        if record is None:
            extract_run.start()
        load_run = LoadRun(talk, settings.load, settings.runtime, folder)
        load_run.start()
        found = replace(settings, checkpoint=checkpoint.path, out=out, extract=options)
        asked = asked_record(found, context.runtime.name)
        exported = extract_run.reuse_or_finish(record, context.display.notify)
        files = BackgroundDescription(folder.export, exported.files)
        loaded = _finish_load(load_run, folder, context, kept_export=record is not None)
        inputs = checkpoint_inputs(checkpoint, options, exported.record)
        inputs += _given_inputs(settings, folder)
        parts = {**asked, "request": request, "inputs": inputs}
        parts |= {"extract": exported.record, "load": loaded}
        manifest = publish_result(folder, files, parts, settings.force, context)
    exports.add(out / EXPORT_FOLDER, files, exported)
    return Outcome(out, manifest)


def extract(settings: ExtractSettings, context: RunContext) -> Outcome:
    """Stage 1 alone: the output is an export folder with a manifest.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    out = check_out(settings.out, settings.force, checkpoint.folder)
    options = _prepared(settings.extract, context)
    exports = _Exports.of(checkpoint, options, context)
    request = {"command": "extract", "export_key": exports.key}
    earlier = _earlier_outcome(out, settings.force, request, checkpoint.folder, options.data_folder)
    if earlier is not None:
        return earlier
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        run = ExtractRun(talk, checkpoint, options, settings.runtime, folder)
        record = exports.find(settings.force)
        if record is None:
            run.start()
        found = replace(settings, checkpoint=checkpoint.path, out=out, extract=options)
        asked = asked_record(found, context.runtime.name)
        exported = run.reuse_or_finish(record, context.display.notify)
        files = BackgroundDescription(folder.export, exported.files)
        parts = {
            **asked,
            "request": request,
            "inputs": checkpoint_inputs(checkpoint, options, exported.record),
            "extract": exported.record,
            "files": files.result(),
        }
        manifest = publish(folder, folder.export, parts, settings.force, context)
    exports.add(out, files, exported)
    return Outcome(out, manifest)


def load(settings: LoadSettings, context: RunContext) -> Outcome:
    """Stage 2 alone, from an export that was made here or elsewhere.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    source = find_export(settings.export)
    out = check_out(settings.out, settings.force, source)
    names = check_export(source)
    context.runtime.prepare([LOAD], context.display.notify)
    asked = load_request(settings.load, settings.runtime.device, context.runtime.identity(LOAD))
    request = {"command": "load", "load": asked}
    earlier = _earlier_outcome(out, settings.force, request, source)
    if earlier is not None:
        return earlier
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        run = LoadRun(talk, settings.load, settings.runtime, folder)
        run.start()
        found = replace(settings, export=source, out=out)
        parts = asked_record(found, context.runtime.name)
        with writing_to(out.parent):
            take_over(source, names, folder.export)
        files = BackgroundDescription(folder.export, names)
        loaded = _finish_load(run, folder, context, kept_export=True)
        with writing_to(out.parent):
            inputs = [export_input(source, files.result())]
        inputs += _given_inputs(settings, folder)
        parts |= {"request": request, "inputs": inputs, "load": loaded}
        manifest = publish_result(folder, files, parts, settings.force, context)
    return Outcome(out, manifest)


def inspect(settings: InspectSettings, context: RunContext) -> dict[str, Any]:
    """What a checkpoint holds: variables, sizes, operations, inputs, outputs. Writes nothing.

    Returns:
        The `inspection` object of stage 1, and which reader it was.

    Raises:
        OrchestrationError: one of `orchestration.errors`.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    options = _prepared(settings.extract, context)
    context.runtime.reap()
    with _room_to_unpack(checkpoint) as room, context.conversation() as talk:
        spec = extract_spec(checkpoint, room, options, settings.runtime, ())
        worker = talk.start(spec)
        job = extract_job("inspect", worker.process, checkpoint, room, options)
        talk.post("extract", job, is_last=True)
        done = talk.wait_for("extract", "inspect")
    return {**done["result"]["inspection"], "reader": options.reader}


@contextmanager
def _room_to_unpack(checkpoint: CheckpointPath) -> Iterator[Path | None]:
    """A folder on the disk where the checkpoint may be an archive: a container has little room."""
    if not os.path.isfile(checkpoint.path):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="tf1-to-torch-inspect-") as folder:
        yield Path(folder)


def _prepared(
    options: ExtractOptions, context: RunContext, also: Stage | None = None
) -> ExtractOptions:
    """Make the runtime ready for stage 1, and `also` a stage; gives the options with the reader."""
    options = with_chosen_reader(options, context.runtime, context.display.notify)
    stages = [home_of_stage_1(options.reader)]
    if also is not None and also not in stages:
        stages.append(also)
    context.runtime.prepare(stages, context.display.notify)
    return options


@dataclass(frozen=True)
class _Exports:
    """The exports that were made of one checkpoint with these options by this stage.

    Attributes:
        key: under which they are filed.
        index: where.
    """

    key: str
    index: ExportIndex

    @classmethod
    def of(
        cls, checkpoint: CheckpointPath, options: ExtractOptions, context: RunContext
    ) -> _Exports:
        """Compute the key, which depends on the runtime's stage 1, too."""
        stage_1 = context.runtime.identity(EXTRACT, home_of_stage_1(options.reader))
        key = export_key(checkpoint, options, stage_1)
        return cls(key, ExportIndex(context.environment))

    def find(self, force: bool) -> ExportRecord | None:
        """An earlier export, unless everything is to be redone."""
        return None if force else self.index.find(self.key)

    def add(self, folder: Path, files: BackgroundDescription, exported: Exported) -> None:
        """Remember a published export for later runs."""
        self.index.add(self.key, ExportRecord(folder, files.result(), exported.record))


def _earlier_outcome(
    out: Path,
    force: bool,
    request: Mapping[str, Any],
    input_folder: Path,
    data_folder: Path | None = None,
) -> Outcome | None:
    """The outcome of an earlier run, if it has made exactly this already."""
    manifest = None if force else up_to_date_manifest(out, request, input_folder, data_folder)
    return None if manifest is None else Outcome(out, manifest, is_new=False)


def _given_inputs(
    settings: ConvertSettings | LoadSettings, folder: ResultFolder
) -> list[dict[str, Any]]:
    """What stage 2 has read of the user's own. Raises OutputNotWritable if it has gone since."""
    with writing_to(folder.out.parent):
        return given_inputs(settings.load, settings.runtime, folder.result)


def _finish_load(
    load_run: LoadRun, folder: ResultFolder, context: RunContext, *, kept_export: bool
) -> dict[str, Any]:
    """Wait for stage 2; if it fails, keep what it proposes, and say what need not be repeated."""
    try:
        return load_run.finish()
    except StageFailed:
        proposals = keep_proposals(folder.result, folder.out)
        if proposals is not None:
            context.display.notify(
                f"The best proposals are in {shown_path(proposals)}: complete the lines whose rule"
                " is '?', and pass the file with --map."
            )
        if not kept_export:
            context.display.notify(
                "Stage 1 did its part. `orchestrate.py extract CKPT --out EXPORT` keeps an export,"
                " which further runs on this checkpoint use again."
            )
        raise
