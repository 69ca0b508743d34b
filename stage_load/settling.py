"""Loads a plan and proves it; where the proof fails, the run decides what the plan left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from stage_load.causes.finding import find_causes
from stage_load.confidence_check import check_confidence
from stage_load.deciding import decide
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.jobs import Job
from stage_load.loading import NonFinite, load_plan
from stage_load.mapping import Given
from stage_load.parity import prove
from stage_load.plan import Plan, make_plan
from stage_load.protocol import JobEvents
from stage_load.result_files import MODEL_FILE
from stage_load.stopwatch import Stopwatch
from stage_load.strict import check_plan
from stage_load.torch_units import TorchModel
from stage_load.verdict import FAILED, Parity, unproven


@dataclass(frozen=True)
class Parts:
    """What loading and proving take."""

    job: Job
    export: Export
    model: nn.Module
    traced: TorchModel
    feed: Feed
    events: JobEvents
    stopwatch: Stopwatch


def settle(
    parts: Parts, plan: Plan, given: Sequence[Given]
) -> tuple[Plan, Sequence[NonFinite], Parity]:
    """Load and prove; where the proof fails and the plan had a choice, let the run decide.

    Raises:
        MatchUncertain: nothing has confirmed what kind, shape, order and names left open.
    """
    found, parity = _loaded(parts, plan)
    # Where all layers agree and only an output does not, their places are not what is wrong.
    layers_differ = parity.first_differing_layer is not None or bool(plan.open_places)
    if parity.verdict == FAILED and layers_differ:
        with parts.stopwatch.phase("decide"):
            decided = decide(parts.export, parts.model, parts.feed, plan, parity.tolerance)
        if decided is not None:
            plan = make_plan(parts.export.view, parts.traced, given, decided.places, decided.moved)
            check_plan(parts.export.view, parts.traced, plan)
            found, parity = _loaded(parts, plan)
    check_confidence(plan, parity)
    with parts.stopwatch.phase("explain"):
        causes = find_causes(parts.export, parts.model, parts.feed, parity)
    return plan, found, replace(parity, causes=causes)


def _loaded(parts: Parts, plan: Plan) -> tuple[Sequence[NonFinite], Parity]:
    """Fill the model as planned, write it, and prove it."""
    job, events = parts.job, parts.events
    with parts.stopwatch.phase("load"):
        progress = _progress(events, "load", "tensors")
        path, variables = job.out / MODEL_FILE, parts.export.variables
        found = load_plan(parts.model, plan, parts.traced.aliases, variables, path, progress)
    with parts.stopwatch.phase("prove"):
        return found, _prove(parts, plan, weights_are_finite=not found)


def _prove(parts: Parts, plan: Plan, *, weights_are_finite: bool) -> Parity:
    tolerance = parts.job.options.tolerance
    if not parts.job.options.prove:
        return unproven("the proof was switched off", tolerance)
    return prove(
        parts.export,
        parts.model,
        parts.feed,
        plan.places,
        tolerance,
        _progress(parts.events, "prove", "layers"),
        weights_are_finite=weights_are_finite,
    )


def _progress(events: JobEvents, phase: str, unit: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        events.progress(phase, done, total, unit)

    return report
