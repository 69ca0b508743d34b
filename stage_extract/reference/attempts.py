"""Finds inputs that the graph accepts, by proposing some and asking TensorFlow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from stage_extract.reference.draws import FLOAT_DTYPES, Drawn, Recipe, draw_inputs, recipes
from stage_extract.reference.graph_facts import GraphFacts
from stage_extract.reference.plan import ReferencePlan
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.session import Measured, ReferenceSession, RunFailed
from stage_extract.reference.shapes import DataInput, propose_shapes
from stage_extract.reference.usage import input_use
from stage_extract.reference.values import digest, is_finite

ATTEMPTS_LIMIT = 48


@dataclass(frozen=True)
class Attempt:
    """Inputs that the graph accepted.

    Attributes:
        drawn: values of the data inputs, by name.
        feeds: the same and the switches, as TensorFlow is fed.
        measured: shape and type of every tensor that has a value.
        failures: why TensorFlow gives no value for a layer's tensor, by name.
        digests: what tells the values of each output in this run from those of another.
        is_finite: no output holds NaN or infinity.
    """

    drawn: Mapping[str, Drawn]
    feeds: Mapping[str, Any]
    measured: Mapping[str, Measured]
    failures: Mapping[str, str]
    digests: Mapping[str, Any]
    is_finite: bool


def find_attempt(
    session: ReferenceSession,
    facts: GraphFacts,
    plan: ReferencePlan,
    layer_tensors: Sequence[str],
    seed: int,
) -> Attempt:
    """Propose inputs until the graph computes its outputs.

    Args:
        session: the graph, ready to run.
        facts: what is known of its nodes.
        plan: inputs, switches and outputs.
        layer_tensors: further tensors, which need not have a value.
        seed: of the drawn values.

    Raises:
        ReferenceUnavailable: TensorFlow accepts none of the proposals; its errors are quoted.
    """
    inputs = [
        DataInput(*given, input_use(facts, given.tensor, given.shape)) for given in plan.inputs
    ]
    trials = _Trials(session, plan, layer_tensors)
    refusals: List[str] = []
    proposals = _proposals(facts, inputs, plan)
    for shapes, recipe in itertools.islice(proposals, ATTEMPTS_LIMIT):
        drawn = draw_inputs(inputs, shapes, seed, recipe)
        try:
            attempt = trials.run(drawn)
        except RunFailed as error:
            refusals.append(f"{_told_shapes(drawn)}: {error}")
            if error.is_final:
                break
            continue
        if attempt.is_finite or not any(one.dtype in FLOAT_DTYPES for one in inputs):
            return attempt
        positive = draw_inputs(inputs, shapes, seed, recipe._replace(is_positive=True))
        return trials.finite_or(attempt, positive)
    raise ReferenceUnavailable(_told_refusals(refusals))


def _proposals(
    facts: GraphFacts, inputs: Sequence[DataInput], plan: ReferencePlan
) -> Iterator[Tuple[Dict[str, Tuple[int, ...]], Recipe]]:
    for shapes in propose_shapes(facts, inputs, plan.outputs, plan.overrides):
        for recipe in recipes(inputs, shapes):
            yield shapes, recipe


class _Trials:
    """Runs the graph on proposed inputs."""

    def __init__(
        self, session: ReferenceSession, plan: ReferencePlan, layer_tensors: Sequence[str]
    ) -> None:
        self._session = session
        self._plan = plan
        self._layer_tensors = layer_tensors

    def run(self, drawn: Mapping[str, Drawn]) -> Attempt:
        """Run once for everything.

        Raises:
            RunFailed: the outputs cannot be computed.
        """
        feeds = {**self._plan.switches, **{name: one.values for name, one in drawn.items()}}
        failures = {}
        try:
            known, outputs = self._session.measure(feeds, self._layer_tensors, self._plan.outputs)
        except RunFailed:
            # One layer without a value (in a branch that is not taken) must not cost the rest.
            known, outputs = self._session.measure(feeds, [], self._plan.outputs)
            for tensor in self._layer_tensors:
                try:
                    known.update(self._session.measure(feeds, [tensor])[0])
                except RunFailed as error:
                    failures[tensor] = f"TensorFlow gives it no value here: {error}"
        finite = all(is_finite(value) for value in outputs.values())
        digests = {tensor: digest(value) for tensor, value in outputs.items()}
        return Attempt(drawn, feeds, known, failures, digests, finite)

    def finite_or(self, attempt: Attempt, positive: Mapping[str, Drawn]) -> Attempt:
        """Give the run on inputs without negative numbers if that one is finite, else the first.

        A logarithm or a root of a negative pixel makes everything NaN, which proves little.
        """
        try:
            other = self.run(positive)
        except RunFailed:
            return attempt
        return other if other.is_finite else attempt


def _told_shapes(drawn: Mapping[str, Drawn]) -> str:
    return ", ".join(f"{name} {list(one.values.shape)}" for name, one in drawn.items())


def _told_refusals(refusals: Sequence[str]) -> str:
    if len(refusals) == 1:
        return f"TensorFlow cannot run the graph on {refusals[0]}"
    return (
        f"TensorFlow cannot run the graph on any of {len(refusals)} proposed inputs; "
        f"the first was {refusals[0]}; the last was {refusals[-1]}; "
        f"complete shapes can be given with --input-shape"
    )
