"""One job from the export folder to the result folder: read, plan, load, prove, report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stage_load.adapting import accepting_other_channels
from stage_load.building import build
from stage_load.devices import DeviceChoice, choose_device
from stage_load.epsilons import changed_epsilons, own_epsilons
from stage_load.errors import LayoutUnknown, MatchUncertain, TensorsDoNotFit
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.given_names import given_rows
from stage_load.initialised import INITIAL_SEED, initialised_of, seeded
from stage_load.jobs import Job, LoadOptions
from stage_load.loading import NonFinite
from stage_load.mapping import FROM_GUESS, FROM_MODEL, Given
from stage_load.mapping_csv import MapLine, mapping_text, read_mapping
from stage_load.models.registry import Model, PreparedModel, find_model
from stage_load.name_rules import NameRule, parse_name_rules
from stage_load.plan import Plan, make_plan
from stage_load.proposals import complete_rows, proposed_rows
from stage_load.protocol import JobEvents
from stage_load.report import ReportInput, non_finite_documents, parity_summary, report_document
from stage_load.report_page import prepare_drawing, report_page
from stage_load.result_files import (
    CONFIG_FILE,
    MAPPING_FILE,
    PAGE_FILE,
    REPORT_FILE,
    config_document,
)
from stage_load.safetensors_writer import write_text
from stage_load.settling import Parts, settle, store_in
from stage_load.source_copy import copy_source
from stage_load.stopwatch import Stopwatch
from stage_load.strict import check_plan
from stage_load.torch_units import TorchModel
from stage_load.trace import trace_model
from stage_load.transfer import Wishes, dtype_notes, frozen_names, transfer_document
from stage_load.verdict import Parity


@dataclass(frozen=True)
class Choices:
    """A job's options, looked up: everything that can be wrong before an export is there."""

    device: DeviceChoice
    model: Model
    map_file: tuple[Path, tuple[MapLine, ...]] | None
    rules: tuple[NameRule, ...]
    wishes: Wishes


def look_up(options: LoadOptions) -> Choices:
    """Find device, model and mapping file.

    Raises:
        DeviceUnavailable, UnknownModel, FactoryFailed, ModelArgumentsInvalid, MappingInvalid,
            RuleInvalid, PatternInvalid: one of them cannot be used.
    """
    map_file = None if options.map is None else (options.map, read_mapping(options.map))
    rules = parse_name_rules(options.rules)
    device, model = choose_device(options.device), find_model(options.model, options.model_folder)
    model.check_arguments(options.model_args)
    return Choices(device, model, map_file, rules, Wishes.of(options))


def run_check(job: Job) -> dict[str, Any]:
    """Check a job's options without an export, and return which device it will run on.

    Raises:
        LoadError: as ``look_up``.
    """
    choices = look_up(job.options)
    if job.options.prove:
        prepare_drawing()
    return {"device": str(choices.device.device), "device_note": choices.device.note}


def run_load(job: Job, events: JobEvents, stopwatch: Stopwatch) -> dict[str, Any]:
    """Do one job and return its result.

    Raises:
        LoadError: the job cannot be done; nothing but complete files is left in ``job.out``.
    """
    with stopwatch.phase("read"):
        choices = look_up(job.options)
        export = Export(job.export)
    with export:
        return _convert(job, events, stopwatch, choices, export)


def _convert(
    job: Job, events: JobEvents, stopwatch: Stopwatch, choices: Choices, export: Export
) -> dict[str, Any]:
    view, allowances = export.view, choices.wishes.allowances
    with stopwatch.phase("build"):
        prepared = choices.model.prepare(view, job.options.model_args)
        with seeded():
            model = build(prepared.build, choices.device.device)
        epsilons = own_epsilons(model)
    with stopwatch.phase("plan"):
        frozen = frozen_names(model, choices.wishes.freeze)
        with accepting_other_channels(model, allowances.adapt):
            traced, feed = _trace(export, prepared, model, choices.device.device)
        allowances.check(view, traced)
        given = _given(export, traced, prepared, model, choices)
        plan = allowances.apply(view, traced, make_plan(view, traced, given))
    source = prepared.build, allowances
    parts = Parts(job, export, model, traced, feed, events, stopwatch, *source)
    plan, found, parity = _settled(parts, plan, given)
    dtype = None if job.options.dtype is None else store_in(parts, plan, job.options.dtype)
    initialised = initialised_of(view, traced, plan)
    transfer = transfer_document(job.options, plan.rows, initialised, frozen, dtype)
    changed = changed_epsilons(epsilons, plan.settings)
    notes = (*prepared.assumptions, *plan.warnings, *changed, *dtype_notes(dtype))
    for warning in notes:
        events.warning(warning)
    with stopwatch.phase("write"):
        outcome = _Outcome(
            export, choices, prepared, model, feed, plan, notes, found, parity, transfer
        )
        return _write(job, outcome)


def _settled(
    parts: Parts, plan: Plan, given: Sequence[Given]
) -> tuple[Plan, Sequence[NonFinite], Parity]:
    """Check, load and prove; where that is refused, write the proposals for people to finish."""
    view = parts.export.view
    try:
        check_plan(view, parts.traced, plan)
        return settle(parts, plan, given)
    except (LayoutUnknown, MatchUncertain, TensorsDoNotFit):
        if parts.traced.order_note is not None:
            parts.events.warning(f"The model was not run: {parts.traced.order_note}.")
        rows = proposed_rows(view, parts.traced, plan)
        write_text(parts.job.out / MAPPING_FILE, mapping_text(rows))
        raise


@dataclass(frozen=True)
class _Outcome:
    """Everything that the files and the result event speak of."""

    export: Export
    choices: Choices
    prepared: PreparedModel
    model: nn.Module
    feed: Feed
    plan: Plan
    notes: Sequence[str]
    non_finite: Sequence[NonFinite]
    parity: Parity
    transfer: Mapping[str, Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        found = _non_finite_warnings(self.non_finite)
        return (*self.notes, *found)


def _trace(
    export: Export, prepared: PreparedModel, model: nn.Module, device: torch.device
) -> tuple[TorchModel, Feed]:
    """Run the model as it is, and find out whether it takes images as torch or as TensorFlow."""
    feed = Feed(device)
    inputs = feed.reference_inputs(export, model)
    if inputs is None and prepared.example_inputs is not None:
        inputs = tuple(value.to(device) for value in prepared.example_inputs())
        return trace_model(model, inputs), feed
    traced = trace_model(model, feed.zeros(export) if inputs is None else inputs)
    if traced.order_note is None:
        return traced, feed
    as_they_are = Feed(device, keeps_axes=True)
    inputs = as_they_are.reference_inputs(export, model) or as_they_are.zeros(export)
    again = trace_model(model, inputs)
    return (again, as_they_are) if again.order_note is None else (traced, feed)


def _given(
    export: Export, traced: TorchModel, prepared: PreparedModel, model: nn.Module, choices: Choices
) -> tuple[Given, ...]:
    names: Mapping[str, Any] = {**prepared.names, **(getattr(model, "tf1_names", None) or {})}
    # A model of the registry can only have guessed names where there is no graph.
    how = FROM_GUESS if prepared.names and not export.view.has_graph else FROM_MODEL
    return given_rows(export.view, traced, choices.map_file, names, how, choices.rules)


def _write(job: Job, outcome: _Outcome) -> dict[str, Any]:
    """Write every file but the model's, and return the result of the job."""
    report = report_document(_report_input(outcome))
    prepared, view = outcome.prepared, outcome.export.view
    source = copy_source(prepared, job.out)
    config = config_document(
        name=prepared.name,
        config=prepared.config,
        source=source,
        settings=outcome.plan.settings,
        export=view,
        keeps_axes=outcome.feed.keeps_axes,
        verdict=outcome.parity.verdict,
        transfer=outcome.transfer,
    )
    write_text(job.out / MAPPING_FILE, mapping_text(complete_rows(view, outcome.plan)))
    write_text(job.out / CONFIG_FILE, _json_text(config))
    write_text(job.out / REPORT_FILE, _json_text(report))
    page = report_page(report, outcome.plan.rows, outcome.parity.outputs)
    write_text(job.out / PAGE_FILE, page)
    return {
        "verdict": outcome.parity.verdict,
        "reason": outcome.parity.reason,
        "seed": INITIAL_SEED,
        "causes": [str(cause) for cause in outcome.parity.causes],
        "traceback": list(outcome.parity.traceback),
        "device": report["device"]["name"],
        "device_note": report["device"]["note"],
        "model": report["model"],
        "tensors": report["coverage"]["torch_tensors"],
        "parameters": report["coverage"]["parameters"],
        "parity": parity_summary(outcome.parity),
        "non_finite_weights": non_finite_documents(outcome.non_finite),
        "warnings": list(outcome.warnings),
    }


def _report_input(outcome: _Outcome) -> ReportInput:
    return ReportInput(
        export=outcome.export.view,
        plan=outcome.plan,
        parity=outcome.parity,
        model_name=outcome.prepared.name,
        model_config=outcome.prepared.config,
        parameters=sum(parameter.numel() for parameter in outcome.model.parameters()),
        device=_device_name(outcome.choices.device.device),
        device_note=outcome.choices.device.note,
        non_finite=outcome.non_finite,
        warnings=outcome.warnings,
        transfer=outcome.transfer,
    )


def _device_name(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def _non_finite_warnings(found: Sequence[NonFinite]) -> tuple[str, ...]:
    return tuple(
        f"{entry.count} elements of {entry.torch_name!r} are NaN or infinite in the checkpoint."
        for entry in found
    )


def _json_text(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"
