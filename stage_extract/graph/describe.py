"""From a graph and the list of a checkpoint's variables to everything that graph.json says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.aside import averages_warnings, reasons_aside
from stage_extract.graph.averages import averages_by_name, find_averages
from stage_extract.graph.conditions import take_branches
from stage_extract.graph.dropout import dropped_shares, marked, remove_dropout
from stage_extract.graph.dtypes import output_dtype
from stage_extract.graph.endpoints import Candidate, EndpointFinder, Endpoints
from stage_extract.graph.entries import LazyEntries
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.folding import Folded, fold_kernels
from stage_extract.graph.functions import lower_functions
from stage_extract.graph.graphdef import (
    Graph,
    GraphUnreadable,
    MetaGraph,
    node_name,
    output_index,
)
from stage_extract.graph.guess import guess_layers
from stage_extract.graph.keys import Naming, find_naming
from stage_extract.graph.layers.find import find_layers
from stage_extract.graph.layers.layer import Forward, Layer
from stage_extract.graph.layers.moving_averages import MovingAverages
from stage_extract.graph.machinery import is_gradient, leading_only_to
from stage_extract.graph.missing import find_missing, missing_warnings
from stage_extract.graph.moving_statistics import use_moving_statistics
from stage_extract.graph.network import find_network
from stage_extract.graph.prune import inference_nodes, nodes_to_json
from stage_extract.graph.remarks import (
    batch_norm_warnings,
    call_warnings,
    collection_warnings,
    endpoint_warnings,
    shape_warnings,
    switch_warnings,
)
from stage_extract.graph.rewriting import Rewrite, without_prints
from stage_extract.graph.roles import describe_variables
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.switches import Switch, find_switches
from stage_extract.graph.variables import VariableTable
from stage_extract.jobs import ExtractOptions
from stage_extract.reader import VariableInfo
from stage_extract.reader_choice import tensorflow_version
from stage_extract.source import NO_META, GraphFile
from stage_extract.writing.export_format import FORMAT_NAME, FORMAT_VERSION


@dataclass(frozen=True)
class Description:
    """What graph.json says, before the reference run and the skipped variables are added.

    Attributes:
        document: the object, without "skipped" and "reference".
        warnings: sentences for the user.
        folded: kernels that are computed from variables, and described as variables.
    """

    document: Mapping[str, Any]
    warnings: Tuple[str, ...] = ()
    folded: Tuple[Folded, ...] = ()

    def to_json(self) -> Mapping[str, Any]:
        """Give the object of graph.json, without "skipped" and "reference"."""
        return self.document


class InferenceGraph(NamedTuple):
    """A training graph turned into its inference graph.

    Attributes:
        meta: the graph as it was saved.
        graph: without the branches of training and without dropout.
        switches: the values that select it.
        rewrites: what was replaced.
        leftovers: nodes that only the removed parts read.
    """

    meta: MetaGraph
    graph: Graph
    switches: List[Switch]
    rewrites: List[Rewrite]
    leftovers: FrozenSet[str]


def describe(
    source: Optional[GraphFile],
    variables: Sequence[VariableInfo],
    options: ExtractOptions,
    fold: bool = True,
    checkpoint_format: str = "V2",
    no_graph: str = NO_META,
    others: Sequence[VariableInfo] = (),
    order: Sequence[str] = (),
) -> Description:
    """Describe a checkpoint's variables by its graph, or by their names where there is none.

    Args:
        source: where the graph is; None if there is none.
        variables: what is exported.
        options: the user's inputs and outputs, if any.
        fold: describe kernels that are computed from variables alone as variables.
        checkpoint_format: graph.json's `source.checkpoint_format`.
        no_graph: why there is no graph.
        others: what the checkpoint holds besides.
        order: names of variables in the order of their layers, for layers that are guessed.

    Raises:
        EndpointNotFound: an input or output that the user names is not in the graph.
        NotReadable: the operating system refuses the graph's file.
    """
    if source is None:
        head = _head(None, no_graph, None, checkpoint_format)
        return _without_graph(variables, order, options, head, ())
    try:
        meta = lower_functions(source.parse())
    except GraphUnreadable as error:
        reason = f"{source.words} cannot be read: {error}"
        warning = f"The graph is left out, {reason}. Layers are guessed from names and shapes."
        head = _head(None, reason, None, checkpoint_format)
        return _without_graph(variables, order, options, head, (warning,))
    head = _head(source.kind, None, meta.producer, checkpoint_format)
    naming = find_naming(meta, [*variables, *others])
    inference = to_inference(meta, options.inputs)
    return _with_graph(inference, naming, variables, options, fold, head)


def to_inference(meta: MetaGraph, inputs: Sequence[str] = ()) -> InferenceGraph:
    """Take the branches of inference, remove dropout, and use moving averages.

    Args:
        inputs: tensors that the user calls inputs: they are no switches.
    """
    switches = find_switches(meta.graph, inputs)
    values = {switch.tensor: switch.value for switch in switches}
    taken = take_branches(meta.graph, values)
    silent, prints = without_prints(taken.graph)
    without = remove_dropout(silent, Evaluator(silent, values))
    abandoned = leading_only_to(meta.graph, lambda node: node.name in taken.removed, is_gradient)
    moving = use_moving_statistics(meta.graph, without.graph)
    rewrites = marked(taken.rewrites + without.rewrites, meta.graph, dropped_shares(meta.graph))
    leftovers = frozenset(abandoned) | without.leftovers | moving.leftovers
    rewrites += prints + moving.rewrites
    return InferenceGraph(meta, moving.graph, switches, rewrites, leftovers)


def _with_graph(
    inference: InferenceGraph,
    naming: Naming,
    variables: Sequence[VariableInfo],
    options: ExtractOptions,
    fold: bool,
    head: Mapping[str, Any],
) -> Description:
    meta, graph, switches = inference.meta, inference.graph, inference.switches
    values = {switch.tensor: switch.value for switch in switches}
    averages = find_averages(meta.graph, VariableTable(meta.graph, naming, variables))
    chosen = averages if options.prefer_ema else {}
    table = VariableTable(graph, naming, variables, chosen)
    shapes = StaticShapes(graph)
    network = find_network(graph, table, shapes, values, inference.leftovers)
    finder = EndpointFinder(meta, graph, network, table, shapes, switches)
    endpoints = finder.find(options.inputs, options.outputs)
    nodes = inference_nodes(graph, endpoints.inputs, endpoints.outputs)
    folded = fold_kernels(nodes, table, shapes) if fold else ()
    forward = Forward(nodes, table, shapes, Evaluator(graph, values), meta.graph)
    computing = frozenset(name for one in folded for name in one.nodes)
    moving = MovingAverages(meta, naming, variables, switches, chosen)
    layers = find_layers(forward, moving, computing)
    names = {node.name for node in nodes}
    missing = find_missing(nodes, table)
    aside = reasons_aside(averages, options.prefer_ema)
    document = {
        **head,
        "variables": describe_variables(variables, layers, table, folded, aside),
        "layers": LazyEntries(layers, partial(layer_to_json, evidence="graph")),
        "inputs": [_endpoint(graph, shapes, tensor) for tensor in endpoints.inputs],
        "outputs": [_endpoint(graph, shapes, tensor) for tensor in endpoints.outputs],
        "switches": [dict(switch._asdict()) for switch in switches],
        "candidates": _candidates(graph, shapes, endpoints),
        "rewrites": [one.to_json() for one in inference.rewrites if one.node in names],
        "nodes": nodes_to_json(nodes, table, shapes),
    }
    if missing:
        document["missing"] = [one.to_json() for one in missing]
    warnings = endpoint_warnings(endpoints, names, options)
    warnings += [naming.warning] if naming.warning is not None else []
    warnings += averages_warnings(averages, options.prefer_ema)
    warnings += missing_warnings(missing, sum(table.name_of(name) is not None for name in names))
    warnings += switch_warnings(meta.graph, switches, endpoints.outputs)
    warnings += batch_norm_warnings(layers, inference.rewrites, names)
    warnings += call_warnings(meta, names) + collection_warnings(meta) + shape_warnings(meta.graph)
    return Description(document, tuple(warnings), folded)


def _without_graph(
    variables: Sequence[VariableInfo],
    order: Sequence[str],
    options: ExtractOptions,
    head: Mapping[str, Any],
    warnings: Tuple[str, ...],
) -> Description:
    averages = averages_by_name(variables)
    averaged = set(averages.values())
    plain = [info for info in variables if info.name not in averaged]
    layers = guess_layers(plain, averages if options.prefer_ema else {}, order)
    aside = reasons_aside(averages, options.prefer_ema)
    warnings += averages_warnings(averages, options.prefer_ema)
    document = {
        **head,
        "variables": describe_variables(variables, layers, None, aside=aside),
        "layers": LazyEntries(layers, partial(layer_to_json, evidence="guessed")),
        "inputs": [],
        "outputs": [],
        "switches": [],
        "candidates": {"inputs": [], "outputs": []},
        "rewrites": [],
        "nodes": [],
    }
    return Description(document, warnings)


def _head(
    graph: Optional[str], reason: Optional[str], producer: Optional[int], checkpoint_format: str
) -> Dict[str, Any]:
    tensorflow = tensorflow_version()
    return {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "source": {
            "reader": "pure" if tensorflow is None else "tensorflow",
            "tensorflow": tensorflow,
            "graph": graph,
            "graph_reason": reason,
            "checkpoint_format": checkpoint_format,
            "producer": producer,
        },
    }


def layer_to_json(index: int, layer: Layer, evidence: str) -> Dict[str, Any]:
    """Give the contract's entry of `layers`."""
    guessed = evidence == "guessed"
    return {
        "index": index,
        "kind": layer.kind,
        "name": layer.op if guessed else layer.scope(),
        "op": None if guessed else layer.op,
        "variables": dict(layer.variables),
        "constants": dict(layer.constants),
        "input": layer.input,
        "op_output": layer.op_output or None,
        "output": layer.output or None,
        "attributes": dict(layer.attributes),
        "activation": layer.activation,
        "evidence": evidence,
        "reason": layer.reason,
    }


def _tensor(graph: Graph, shapes: StaticShapes, tensor: str) -> Dict[str, Any]:
    node = graph.producer(tensor)
    shape = shapes.of(tensor)
    return {
        "tensor": tensor,
        "dtype": None if node is None else output_dtype(node, output_index(tensor)),
        "shape": None if shape is None else list(shape),
    }


def _endpoint(graph: Graph, shapes: StaticShapes, tensor: str) -> Dict[str, Any]:
    return {**_tensor(graph, shapes, tensor), "name": node_name(tensor)}


def _candidates(graph: Graph, shapes: StaticShapes, endpoints: Endpoints) -> Dict[str, Any]:
    def listed(candidates: Sequence[Candidate]) -> List[Dict[str, Any]]:
        return [
            {
                **_tensor(graph, shapes, one.tensor),
                "chosen": one.chosen,
                "reason": one.reason,
            }
            for one in candidates
        ]

    return {
        "inputs": listed(endpoints.input_candidates),
        "outputs": listed(endpoints.output_candidates),
    }
