"""Loads a plan and proves it; where the proof fails, the run decides what the plan left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from stage_load.adapting import with_original_kernels
from stage_load.allowances import Allowances
from stage_load.casting import compared_again, rounding, write_model
from stage_load.causes.finding import find_causes
from stage_load.confidence_check import check_confidence
from stage_load.damaged_graph import reading_graph
from stage_load.deciding import decide
from stage_load.dtypes import cast
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.initialised import fill_initialised, initialised_of, watching_initialised
from stage_load.jobs import Job
from stage_load.layouts.adapted import Adapted
from stage_load.layouts.rule import Kept
from stage_load.loading import NonFinite, load_plan
from stage_load.mapping import Given
from stage_load.parity import prove
from stage_load.plan import Plan, make_plan
from stage_load.protocol import JobEvents
from stage_load.result_files import MODEL_FILE
from stage_load.stopwatch import Stopwatch
from stage_load.strict import check_plan
from stage_load.torch_units import TorchModel
from stage_load.verdict import FAILED, UNPROVEN, Parity, unproven


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
    factory: Callable[[], nn.Module]
    allowances: Allowances


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
        with parts.stopwatch.phase("decide"), _as_in_tensorflow(parts, plan):
            decided = decide(parts.export, parts.model, parts.feed, plan, parity.tolerance)
        if decided is not None:
            plan = make_plan(parts.export.view, parts.traced, given, decided.places, decided.moved)
            plan = parts.allowances.apply(parts.export.view, parts.traced, plan)
            check_plan(parts.export.view, parts.traced, plan)
            found, parity = _loaded(parts, plan)
    check_confidence(plan, parity)
    with (
        parts.stopwatch.phase("explain"),
        _as_in_tensorflow(parts, plan),
        reading_graph("the causes of a difference"),
    ):
        causes = find_causes(parts.export, parts.model, parts.feed, parity)
    return plan, found, replace(parity, causes=causes)


def _loaded(parts: Parts, plan: Plan) -> tuple[Sequence[NonFinite], Parity]:
    """Fill the model as planned, write it, and prove it."""
    job, events = parts.job, parts.events
    with parts.stopwatch.phase("load"):
        progress = _progress(events, "load", "tensors")
        path, variables = job.out / MODEL_FILE, parts.export.variables
        fill_initialised(parts.model, parts.factory, _kept_parameters(parts, plan))
        found = load_plan(parts.model, plan, parts.traced.aliases, variables, path, progress)
    with parts.stopwatch.phase("prove"):
        return found, _prove(parts, plan, weights_are_finite=not found)


def _prove(parts: Parts, plan: Plan, *, weights_are_finite: bool) -> Parity:
    tolerance = parts.job.options.tolerance
    if not parts.job.options.prove:
        return unproven("the proof was switched off", tolerance)
    initialised = initialised_of(parts.export.view, parts.traced, plan)
    with with_original_kernels(parts.model, plan.rows, parts.export.variables):
        parity = prove(
            parts.export,
            parts.model,
            parts.feed,
            plan.places,
            tolerance,
            _progress(parts.events, "prove", "layers"),
            weights_are_finite=weights_are_finite,
            initialised=initialised,
        )
    fitted = [str(row.torch_name) for row in plan.rows if isinstance(row.rule, Adapted)]
    if not fitted or parity.verdict == UNPROVEN:
        return parity
    before = f"; compared before input channels were fitted: {', '.join(fitted)}"
    return replace(parity, reason=f"{parity.reason}{before}")


def _kept_parameters(parts: Parts, plan: Plan) -> list[str]:
    """Return the parameters that no variable fills: the model was built without their values."""
    tensors = parts.traced.tensors
    kept = (row.torch_name for row in plan.rows if isinstance(row.rule, Kept) and row.torch_name)
    return [name for name in kept if not tensors[name].is_buffer]


def store_in(parts: Parts, plan: Plan, dtype: str) -> dict[str, Any]:
    """Write a proven model again in another dtype, and return what that has cost.

    Raises:
        DtypeTooNarrow: weights would become infinite.
    """
    with parts.stopwatch.phase("cast"):
        found = rounding(parts.model, dtype)
        cast(parts.model, dtype)
        write_model(parts.model, parts.job.out / MODEL_FILE)
        again: dict[str, Any] = {"reason": "the proof was switched off"}
        if parts.job.options.prove:
            with _as_in_tensorflow(parts, plan):
                again = compared_again(parts.export, parts.model, parts.feed, dtype)
    return {**found, "again": again}


@contextmanager
def _as_in_tensorflow(parts: Parts, plan: Plan) -> Iterator[None]:
    """Let the model compute what TensorFlow did as far as it can, and mark what it cannot."""
    names = initialised_of(parts.export.view, parts.traced, plan).names
    with (
        with_original_kernels(parts.model, plan.rows, parts.export.variables),
        watching_initialised(parts.model, names),
    ):
        yield


def _progress(events: JobEvents, phase: str, unit: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        events.progress(phase, done, total, unit)

    return report
