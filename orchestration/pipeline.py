"""The commands that run stages: convert, extract, load, inspect.

A result appears whole or not at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from orchestration.conversation import Conversation
from orchestration.errors import EXIT_OK, EXIT_PARITY_FAILED
from orchestration.export_reuse import ExportIndex, ExportRecord, export_key, take_over
from orchestration.handoff import check_export
from orchestration.manifest import (
    BackgroundDescription,
    describe_files,
    file_names,
    sha256_of,
    write_manifest,
)
from orchestration.previous_result import check_out, up_to_date_manifest
from orchestration.result_folder import ResultFolder, writing_to
from orchestration.run_paths import find_checkpoint, find_export
from orchestration.runtimes.base import Event, Runtime, Stage
from orchestration.settings import (
    ConvertSettings,
    ExtractSettings,
    InspectSettings,
    LoadOptions,
    LoadSettings,
)
from orchestration.stage_runs import ExtractRun, LoadRun
from orchestration.stage_specs import extract_job, extract_spec, model_file

_VERDICT_EXIT_CODES = {"proven": EXIT_OK, "unproven": EXIT_OK, "failed": EXIT_PARITY_FAILED}
EXPORT_FOLDER = "export"
EXTRACT: Stage = "extract"
LOAD: Stage = "load"


class Display(Protocol):
    """Shows people how a run goes on."""

    def notify(self, line: str) -> None:
        """Show one line about what the host does."""

    def event(self, stage: Stage, event: Event) -> None:
        """Show an event of a stage."""

    def text(self, stage: Stage, line: str) -> None:
        """Show a line that a stage wrote for people; may come from any thread."""


@dataclass(frozen=True)
class RunContext:
    """What every command needs.

    Attributes:
        choose: picks the runtime; called once, after the paths have been checked.
        display: where progress goes.
        argv: the command line, for the manifest.
        environment: the caller's.
        started_s: `time.monotonic()` at the start.
    """

    choose: Callable[[], Runtime]
    display: Display
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    started_s: float = field(default_factory=time.monotonic)

    @cached_property
    def runtime(self) -> Runtime:
        """How stages become processes."""
        return self.choose()

    def conversation(self) -> Conversation:
        """Stages of this context's runtime, shown on its display."""
        return Conversation(self.runtime, self.display.event, self.display.text)


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        out: the result folder.
        manifest: its manifest.
        is_new: False when an earlier run had made the same result already.
    """

    out: Path
    manifest: Mapping[str, Any]
    is_new: bool = True

    @property
    def exit_code(self) -> int:
        """0, or that of a failed parity check."""
        if "load" not in self.manifest:
            return EXIT_OK
        return _VERDICT_EXIT_CODES[self.manifest["load"]["result"]["verdict"]]


def convert(settings: ConvertSettings, context: RunContext) -> Outcome:
    """Export a checkpoint, load it into a torch model and prove that both compute the same.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    out = check_out(settings.out, settings.force, checkpoint.folder)
    context.runtime.prepare([EXTRACT, LOAD], context.display.notify)
    key = export_key(checkpoint, settings.extract, context.runtime.identity("extract"))
    request = {
        "command": "convert",
        "export_key": key,
        "load": _load_request(settings.load, settings.runtime.device, context.runtime),
    }
    if not settings.force:
        earlier = up_to_date_manifest(out, request, checkpoint.folder)
        if earlier is not None:
            return Outcome(out, earlier, is_new=False)
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        extract = ExtractRun(talk, checkpoint, settings.extract, settings.runtime, folder)
        record = None if settings.force else ExportIndex(context.environment).find(key)
        if record is None:
            extract.start()
        load = LoadRun(talk, settings.load, settings.runtime, folder)
        load.start()
        exported = extract.reuse_or_finish(record, context.display.notify)
        export_files = BackgroundDescription(folder.export, exported.summary.files)
        parts = {
            "request": request,
            "input": _input_record(checkpoint.folder, exported.record),
            "extract": exported.record,
            "load": load.finish(),
        }
        manifest = _publish_result(folder, export_files, parts, settings.force, context)
    _file_export(context, key, out / EXPORT_FOLDER, export_files, exported.record)
    return Outcome(out, manifest)


def extract(settings: ExtractSettings, context: RunContext) -> Outcome:
    """Stage 1 alone: the output is an export folder with a manifest.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    out = check_out(settings.out, settings.force, checkpoint.folder)
    context.runtime.prepare([EXTRACT], context.display.notify)
    key = export_key(checkpoint, settings.extract, context.runtime.identity("extract"))
    request = {"command": "extract", "export_key": key}
    if not settings.force:
        earlier = up_to_date_manifest(out, request, checkpoint.folder)
        if earlier is not None:
            return Outcome(out, earlier, is_new=False)
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        run = ExtractRun(talk, checkpoint, settings.extract, settings.runtime, folder)
        record = None if settings.force else ExportIndex(context.environment).find(key)
        exported = run.reuse_or_finish(record, context.display.notify)
        files = BackgroundDescription(folder.export, exported.summary.files)
        parts = {
            "request": request,
            "input": _input_record(checkpoint.folder, exported.record),
            "extract": exported.record,
            "files": files.result(),
        }
        manifest = _publish(folder, folder.export, parts, settings.force, context)
    _file_export(context, key, out, files, exported.record)
    return Outcome(out, manifest)


def load(settings: LoadSettings, context: RunContext) -> Outcome:
    """Stage 2 alone, from an export that was made here or elsewhere.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    source = find_export(settings.export)
    out = check_out(settings.out, settings.force, source)
    summary = check_export(source)
    context.runtime.prepare([LOAD], context.display.notify)
    source_files = BackgroundDescription(source, summary.files)
    request = {
        "command": "load",
        "load": _load_request(settings.load, settings.runtime.device, context.runtime),
    }
    if not settings.force:
        earlier = up_to_date_manifest(out, request, source)
        if earlier is not None:
            return Outcome(out, earlier, is_new=False)
    context.runtime.reap()
    with ResultFolder(out) as folder, context.conversation() as talk:
        run = LoadRun(talk, settings.load, settings.runtime, folder)
        run.start()
        with writing_to(out.parent):
            take_over(source, summary.files, folder.export)
        loaded = run.finish()
        parts = {
            "request": request,
            "input": {"folder": os.fspath(source), "files": source_files.result()},
            "load": loaded,
        }
        manifest = _publish_result(folder, source_files, parts, settings.force, context)
    return Outcome(out, manifest)


def inspect(settings: InspectSettings, context: RunContext) -> dict[str, Any]:
    """What a checkpoint holds: variables, sizes, operations, inputs, outputs. Writes nothing.

    Returns:
        The `inspection` object of stage 1.

    Raises:
        OrchestrationError: one of `orchestration.errors`.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    context.runtime.prepare([EXTRACT], context.display.notify)
    context.runtime.reap()
    with context.conversation() as talk:
        worker = talk.start(extract_spec(checkpoint, None, settings.runtime, ()))
        job = extract_job("inspect", worker.process, checkpoint, None, settings.extract)
        talk.post("extract", job, is_last=True)
        done = talk.wait_for("extract", "inspect")
    inspection: dict[str, Any] = done["result"]["inspection"]
    return inspection


def _load_request(options: LoadOptions, device: str, runtime: Runtime) -> dict[str, Any]:
    """Everything that stage 2's result depends on, apart from the export."""
    source = model_file(options.model)
    return {
        "model": options.model,
        "model_file_sha256": None if source is None else sha256_of(source),
        "map_sha256": None if options.map is None else sha256_of(options.map),
        "tolerance": options.tolerance,
        "prove": options.prove,
        "device": device,
        "loader": runtime.identity("load"),
    }


def _input_record(folder: Path, extract_record: Mapping[str, Any]) -> dict[str, Any]:
    """Where the checkpoint lies, and the hashes of its files as stage 1 read them."""
    return {"folder": os.fspath(folder), **extract_record["result"]["checkpoint"]}


def _publish_result(
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
    return _publish(folder, folder.result, {**parts, "files": files}, force, context)


def _publish(
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


def _file_export(
    context: RunContext,
    key: str,
    folder: Path,
    files: BackgroundDescription,
    stage: dict[str, Any],
) -> None:
    """Remember an export for later runs with the same checkpoint and options."""
    ExportIndex(context.environment).add(key, ExportRecord(folder, files.result(), stage))
