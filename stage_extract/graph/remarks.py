"""What is odd about a described graph, in sentences for the user."""

from __future__ import annotations

from typing import List, Sequence, Set

from stage_extract.graph.endpoints import Endpoints
from stage_extract.graph.graphdef import Graph, MetaGraph, node_name, tensor_name
from stage_extract.graph.layers.layer import Layer
from stage_extract.graph.rewriting import Rewrite
from stage_extract.graph.saved_names import VARIABLE_COLLECTIONS, unreadable_variables
from stage_extract.graph.switches import ASSUMED, Switch
from stage_extract.graph.traverse import ancestors
from stage_extract.jobs import ExtractOptions
from stage_extract.reader_choice import is_pure

SHAPES_UNKNOWN = (
    "The graph was saved without the shapes of its tensors, and nothing infers them without "
    "TensorFlow: layers that depend on shapes, such as one behind a flatten, may be missing. "
    "--reader tf describes them."
)


def endpoint_warnings(endpoints: Endpoints, names: Set[str], options: ExtractOptions) -> List[str]:
    """Tell of inputs and outputs that were not found, or that do not belong together."""
    warnings = []
    if not endpoints.outputs:
        warnings.append("No output was found in the graph; name one with --outputs.")
    elif not endpoints.inputs:
        warnings.append("No input was found in the graph; name one with --inputs.")
    unused = [name for name in options.inputs if node_name(tensor_name(name)) not in names]
    if unused and endpoints.outputs:
        warnings.append(f"The outputs are not computed from {', '.join(unused)}.")
    return warnings


def switch_warnings(graph: Graph, switches: Sequence[Switch], outputs: Sequence[str]) -> List[str]:
    """Tell of flags whose meaning is assumed."""
    assumed = [switch.tensor for switch in switches if switch.why == ASSUMED]
    needed = ancestors(graph, outputs) if assumed else set()
    return [
        f"Nothing tells what the boolean placeholder '{tensor}' means: False is assumed. With True "
        "the outputs may be others."
        for tensor in assumed
        if node_name(tensor) in needed
    ]


def batch_norm_warnings(
    layers: Sequence[Layer], rewrites: Sequence[Rewrite], names: Set[str]
) -> List[str]:
    """Tell of batch norms that were saved in training mode."""
    moved = [one for one in rewrites if one.moving and one.node in names]
    of_batch = [layer for layer in layers if layer.attributes.get("is_training")]
    warnings = []
    if moved:
        warnings.append(
            "The graph was saved in training mode: its batch norms read their moving averages "
            f"here, as in inference, instead of the batch's statistics (first '{moved[0].node}')."
        )
    if of_batch:
        warnings.append(
            f"{len(of_batch)} batch norms take their statistics from the batch, also in inference "
            f"(first '{of_batch[0].op}'): the graph was saved in training mode, and nothing in it "
            "runs an update of moving averages."
        )
    return warnings


def call_warnings(meta: MetaGraph, names: Set[str]) -> List[str]:
    """Tell which functions on the way to the outputs could not be written out."""
    refused = [f"'{name}' ({why})" for name, why in meta.refused.items() if name in names]
    if not refused:
        return []
    return [f"What {len(refused)} nodes compute by functions is not described, first {refused[0]}."]


def collection_warnings(meta: MetaGraph) -> List[str]:
    """Tell which collections of variables hold something else; it is left out."""
    warnings = []
    for name in VARIABLE_COLLECTIONS:
        count = unreadable_variables(meta, name)
        if count:
            warnings.append(
                f"{count} entries of the collection '{name}' are no variables: they are left out."
            )
    return warnings


def shape_warnings(graph: Graph) -> List[str]:
    """Tell of a graph without shapes where TensorFlow is not there to infer them."""
    if not is_pure() or any(node.has_shapes() for node in graph):
        return []
    return [SHAPES_UNKNOWN]
