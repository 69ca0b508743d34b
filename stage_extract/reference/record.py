"""The reference run: what TensorFlow itself computes from the exported variables."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set

from stage_extract.dtypes import BY_NAME
from stage_extract.graph.functions import lower_functions
from stage_extract.graph.graphdef import GraphUnreadable, MetaGraph, node_name
from stage_extract.graph.loops import loop_frames
from stage_extract.graph.moving_statistics import with_moving_averages
from stage_extract.jobs import ExtractOptions
from stage_extract.memory import give_back_free_memory
from stage_extract.reference.attempts import Attempt, find_attempt
from stage_extract.reference.determinism import racing_node
from stage_extract.reference.filling import Filler
from stage_extract.reference.graph_facts import GraphFacts
from stage_extract.reference.original import difference_from_original
from stage_extract.reference.plan import ReferencePlan, make_plan
from stage_extract.reference.randomness import random_op_before
from stage_extract.reference.recording import (
    NotRepeatable,
    Selection,
    choose_tensors,
    write_recording,
)
from stage_extract.reference.result import (
    Feed,
    LayerRecord,
    ReferenceResult,
    ReferenceUnavailable,
    absent,
)
from stage_extract.reference.runnable import runnable_part
from stage_extract.reference.session import ImportedGraph, ReferenceSession, RunFailed
from stage_extract.reference.subgraph import Subgraph
from stage_extract.reference.variables import variable_sources
from stage_extract.source import GraphFile
from stage_extract.writing.export_format import HEADER_METADATA

NOT_FINITE = "it holds NaN or infinity"


class OpenGraph(NamedTuple):
    """A graph that is ready to run.

    Attributes:
        session: runs it.
        subgraph: the part of the model's graph that it holds.
        unrecordable: why a tensor that was asked for cannot be fetched or stored, by name.
        cut_because: why branches that inference does not take had to be left out, None if they
            are in.
    """

    session: ReferenceSession
    subgraph: Subgraph
    unrecordable: Mapping[str, str]
    cut_because: Optional[str]


def record(
    source: GraphFile, filler: Filler, description: Any, options: ExtractOptions, out_path: str
) -> ReferenceResult:
    """Run the graph on seeded inputs and write the inputs, outputs and layer outputs to a file.

    Args:
        source: where the graph is.
        filler: gives the graph's variables their values.
        description: the described graph (`to_json()` gives graph.json's object).
        options: the user's choices.
        out_path: where reference.safetensors goes.

    Returns:
        The reference, or its absence with the exact reason: the export goes on without it.

    Raises:
        EndpointNotFound: `--input-shape` names something that is no input.
        DiskFull, OutputNotWritable, TensorNameReserved: the file cannot be written.
    """
    try:
        return _record_or_absent(source, filler, description, options, out_path)
    finally:
        give_back_free_memory()


def _record_or_absent(
    source: GraphFile, filler: Filler, description: Any, options: ExtractOptions, out_path: str
) -> ReferenceResult:
    try:
        meta = read_graph(source)
        plan = make_plan(meta, description.to_json(), options.input_shapes)
        meta = with_moving_averages(meta, plan.batch_norms)
        with open_graph(meta, filler, plan, options.prefer_ema) as graph:
            attempt = _attempt(graph, plan, options)
            result = _record(graph, plan, attempt, options, out_path)
            if meta.original is None or result.state != "recorded":
                return result
            outputs = graph.session.fetch(attempt.feeds, plan.outputs)
        prefer_ema = options.prefer_ema
        try:
            unknown = difference_from_original(
                meta, filler, plan, prefer_ema, attempt.feeds, outputs
            )
        except ReferenceUnavailable:
            os.unlink(out_path)
            raise
        return _with_doubt(result, unknown)
    except (ReferenceUnavailable, RunFailed) as error:
        return absent(str(error))


def _with_doubt(result: ReferenceResult, unknown: Optional[str]) -> ReferenceResult:
    if unknown is None:
        return result
    warning = (
        "The reference run computes the graph with its functions written out, and could not be "
        f"compared with the graph as it was saved: {unknown}."
    )
    return replace(result, warnings=[*result.warnings, warning])


def read_graph(source: GraphFile) -> MetaGraph:
    """Parse a graph.

    Raises:
        ReferenceUnavailable: there is none in the file.
    """
    try:
        return lower_functions(source.parse_to_run())
    except GraphUnreadable as error:
        raise ReferenceUnavailable(f"{source.words} cannot be read: {error}") from error


@contextmanager
def open_graph(
    meta: MetaGraph, filler: Filler, plan: ReferencePlan, prefer_ema: bool = False
) -> Iterator[OpenGraph]:
    """Import the part of a graph that computes a plan's tensors, and restore its variables.

    Args:
        meta: the whole graph.
        filler: gives the variables their values.
        plan: what will be fed and fetched.
        prefer_ema: fill variables with their moving averages, where there are any.

    Raises:
        ReferenceUnavailable: the graph cannot be imported or filled.
    """
    subgraph, cut_because = runnable_part(meta, plan, plan.tensors)
    sources = variable_sources(meta, subgraph.graph, filler.variables(), prefer_ema)
    imported = ImportedGraph(subgraph)
    unrecordable = _unrecordable(imported, subgraph, plan.tensors)
    usable = [tensor for tensor in plan.tensors if tensor not in unrecordable]
    with ReferenceSession(imported, sources, filler, usable) as session:
        yield OpenGraph(session, subgraph, unrecordable, cut_because)


def _unrecordable(
    imported: ImportedGraph, subgraph: Subgraph, tensors: Sequence[str]
) -> Dict[str, str]:
    frames = loop_frames(subgraph.graph)
    reasons = {}
    for tensor in tensors:
        dtype = imported.dtype(tensor)
        loop = frames.get(node_name(tensor))
        if loop is not None:
            reasons[tensor] = f"it is computed inside the loop '{loop}', once a step"
        elif dtype not in BY_NAME or BY_NAME[dtype].safetensors is None:
            reasons[tensor] = f"its type {dtype} cannot be stored"
    return reasons


def _attempt(graph: OpenGraph, plan: ReferencePlan, options: ExtractOptions) -> Attempt:
    for output in plan.outputs:
        if output in graph.unrecordable:
            raise ReferenceUnavailable(f"output '{output}': {graph.unrecordable[output]}")
    layer_tensors = [
        tensor
        for tensor in plan.tensors
        if tensor not in plan.outputs and tensor not in graph.unrecordable
    ]
    facts = GraphFacts(graph.subgraph.graph, plan.switches)
    return find_attempt(graph.session, facts, plan, layer_tensors, options.seed)


def _record(
    graph: OpenGraph,
    plan: ReferencePlan,
    attempt: Attempt,
    options: ExtractOptions,
    out_path: str,
) -> ReferenceResult:
    selection = choose_tensors(plan, attempt, graph.unrecordable, options.reference_mb)
    try:
        not_finite = write_recording(
            out_path, graph.session, attempt, selection, _forward(plan), HEADER_METADATA
        )
    except NotRepeatable as error:
        culprit = random_op_before(graph.subgraph.graph, error.tensor)
        return absent(
            f"two runs on the same input differ at '{error.tensor}': {culprit}",
            deterministic=False,
        )
    feeds = [
        Feed(name, one.values.dtype.name, tuple(one.values.shape), one.how)
        for name, one in attempt.drawn.items()
    ]
    bad_outputs = [tensor for tensor in plan.outputs if tensor in not_finite]
    return ReferenceResult(
        state="recorded",
        reason=f"output '{bad_outputs[0]}': {NOT_FINITE}" if bad_outputs else None,
        seed=options.seed,
        feeds=feeds,
        outputs=list(plan.outputs),
        layers=_with_notes(selection.records, not_finite),
        deterministic=True,
        size_bytes=selection.size_bytes,
        warnings=[*_part_warnings(graph), *_warnings(plan, selection, not_finite)],
    )


def _forward(plan: ReferencePlan) -> List[str]:
    """Give the recorded tensors in forward order: of a layer its main op first, outputs last."""
    main_ops_first = plan.layers[::-1]
    layers = sorted(main_ops_first, key=lambda layer: layer.layer)
    return list(dict.fromkeys([*(layer.tensor for layer in layers), *plan.outputs]))


def _with_notes(records: Sequence[LayerRecord], not_finite: Set[str]) -> List[LayerRecord]:
    return [
        replace(one, reason=NOT_FINITE) if one.recorded and one.tensor in not_finite else one
        for one in records
    ]


def _part_warnings(graph: OpenGraph) -> List[str]:
    """Tell in what the run differs from the graph that was saved, and from other runs."""
    warnings = []
    if graph.cut_because is not None:
        warnings.append(
            "The reference run leaves out the branches that inference does not take: as the graph "
            f"was saved, {graph.cut_because}."
        )
    turned = graph.subgraph.turned
    if turned:
        warnings.append(
            f"The reference run computes {len(turned)} ops of layout NCHW as NHWC, between "
            f"transpositions, which gives the same values (first '{turned[0]}'): TensorFlow's "
            "kernels for CPUs have that layout alone."
        )
    racing = racing_node(graph.subgraph.graph_def)
    if racing is not None:
        warnings.append(
            f"The reference run computes with one thread: what {racing} gives depends on which of "
            "several threads comes first."
        )
    return warnings


def _warnings(plan: ReferencePlan, selection: Selection, not_finite: Set[str]) -> List[str]:
    warnings = [
        f"The dropout that ends in '{tensor}' has a fixed rate: the reference run leaves it out, "
        f"as inference does."
        for tensor in plan.dropouts
    ]
    if not_finite:
        first = next(tensor for tensor in _forward(plan) if tensor in not_finite)
        warnings.append(
            f"The reference run holds NaN or infinity, first in '{first}'; "
            f"it is recorded as TensorFlow computed it."
        )
    missing = [one for one in selection.records if not one.recorded]
    if missing:
        warnings.append(
            f"{len(missing)} of {len(selection.records)} layer tensors are not in the reference; "
            f"the first, '{missing[0].tensor}': {missing[0].reason}."
        )
    return warnings
