"""The model inside a training graph: from where data enters to what the layers compute from it.

What reads a variable of the checkpoint together with data is a layer; data that meets the layers
only behind the last of them are labels, and what they touch is loss or metric.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Set

from stage_extract.graph.graphdef import Graph, Node, Use, node_name
from stage_extract.graph.machinery import (
    carries_data,
    find_machinery,
    is_gradient,
    is_update,
    leading_only_to,
)
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.switches import PLACEHOLDER_OPS
from stage_extract.graph.traverse import ancestors, descendants
from stage_extract.graph.variables import VariableTable

_PIPELINE_OP = re.compile(
    r"^(Queue\w*Dequeue\w*|IteratorGetNext(Sync)?|Unstage|ReaderRead\w*|RecordInput|ReadFile"
    r"|PyFunc|EagerPyFunc|PyFuncStateless|MapUnstage|FixedLengthRecordReader\w*)$"
)
CROSS_ENTROPY_OPS = frozenset(
    ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits")
)
# Each costs two walks over the graph above it; a tower for each of eight devices stays below.
_MAX_CROSS_ENTROPIES = 32
_PYTHON_OPS = frozenset(("EagerPyFunc", "PyFunc", "PyFuncStateless"))
_RANDOM_OP = re.compile(r"^(Stateless)?(RandomStandardNormal|RandomNormal|RandomUniform|Truncated)")


class Network(NamedTuple):
    """Sets of node names (and of tensors) of one rewritten graph.

    Attributes:
        sources: tensors in which data enters, in the order of the file.
        labels: those of them that no layer needs.
        layers: nodes that read a variable together with data.
        going_on: nodes that some layer needs.
        forward: nodes that follow from the layers without labels, optimizers or gradients.
        aside: nodes that nothing but a summary, an assertion or a branch of training needs.
    """

    sources: List[str]
    labels: FrozenSet[str]
    layers: FrozenSet[str]
    going_on: FrozenSet[str]
    forward: FrozenSet[str]
    aside: FrozenSet[str]


def find_network(
    graph: Graph,
    table: VariableTable,
    shapes: StaticShapes,
    switches: Iterable[str],
    training_only: FrozenSet[str] = frozenset(),
) -> Network:
    """Find the model in a graph whose branches are taken and whose dropout is gone.

    Args:
        switches: tensors that are no data.
        training_only: nodes that only removed branches read.
    """
    machinery = find_machinery(graph)

    def is_scalar(node: Node) -> bool:
        # A loss is summarised and averaged; that does not make the network above it a summary.
        # The smallest and largest value that stretch a picture's contrast go on into the picture.
        if shapes.of(f"{node.name}:0") != ():
            return False
        readers = [use.node for use in graph.successors(node.name)]
        return not readers or any(
            one.name in machinery or shapes.of(f"{one.name}:0") == () for one in readers
        )

    def follow(use: Use) -> bool:
        return use.node.name not in machinery and carries_data(use)

    sources = _sources(graph, table, machinery, set(switches) | _initial_draws(graph, table))
    sampled = _sampled_labels(graph, table, sources, follow)
    taught = _class_labels(graph, set(sources)) | sampled
    data = _fed_by(graph, [one for one in sources if one not in taught], follow)
    updating = leading_only_to(graph, is_update, is_gradient, is_scalar)
    of_samples = _fed_by(graph, sampled, follow)
    layers = _layers(graph, table, shapes, data, updating, of_samples)
    going_on = ancestors(graph, [tensor for name in layers for tensor in _inputs(graph, name)])
    needed = {tensor for name in going_on | layers for tensor in _inputs(graph, name)}
    labels = [tensor for tensor in sources if tensor in taught or tensor not in needed]
    forward = descendants(graph, sorted(layers), follow) - _fed_by(graph, labels, follow)

    def is_watched(node: Node) -> bool:
        return node.name in machinery and not is_gradient(node)

    watched = leading_only_to(graph, is_watched, is_gradient, is_scalar)
    return Network(
        sources,
        frozenset(labels),
        frozenset(layers),
        frozenset(going_on),
        frozenset(forward),
        frozenset(watched - machinery) | training_only,
    )


def _layers(
    graph: Graph,
    table: VariableTable,
    shapes: StaticShapes,
    data: Set[str],
    updating: Set[str],
    of_samples: Set[str],
) -> Set[str]:
    """Give the nodes in which data meets a variable, or what is computed from variables alone.

    Args:
        of_samples: nodes of losses that draw classes at random: rows of the weights, for instance.
    """
    holders = [node.name for node in graph if table.name_of(node.name) is not None]
    stops = data | of_samples
    derived = descendants(graph, holders, lambda use: use.node.name not in stops)
    found = set()
    for node in graph:
        if node.name not in data or table.is_handing_on(node) or is_gradient(node):
            continue
        met = [tensor for tensor in node.inputs if node_name(tensor) in derived]
        if node.name in updating:
            met = [tensor for tensor in met if not _is_own_update(node, tensor, table, shapes)]
        # A variable that scales a scalar is a weight of the loss.
        if met and shapes.of(f"{node.name}:0") != ():
            found.add(node.name)
    return found


def _is_own_update(node: Node, tensor: str, table: VariableTable, shapes: StaticShapes) -> bool:
    """Tell moving_mean - batch_mean, on its way to the assignment, from a layer."""
    origin = table.origin(tensor)
    return origin is None or shapes.of(f"{node.name}:0") == table.info[origin.variable].shape


def is_pipeline(node: Node) -> bool:
    """Tell whether a node takes data out of a queue, an iterator or a file."""
    return bool(_PIPELINE_OP.match(node.op))


def is_random(node: Node) -> bool:
    """Tell whether a node draws random numbers."""
    return bool(_RANDOM_OP.match(node.op))


def _initial_draws(graph: Graph, table: VariableTable) -> Set[str]:
    """Give the random tensors that variables start from: no data, although averages read them too.

    An update differs from an initial value: it reads a variable.
    """
    found: Set[str] = set()
    for node in graph:
        if node.op in ("Assign", "AssignVariableOp") and len(node.inputs) > 1:
            above = ancestors(graph, [node.inputs[1]])
            if not any(table.name_of(name) is not None for name in above):
                drawn = (graph.get(name) for name in above)
                found.update(f"{one.name}:0" for one in drawn if one is not None and is_random(one))
    return found


def _sources(
    graph: Graph, table: VariableTable, machinery: Set[str], switches: Set[str]
) -> List[str]:
    found: Dict[str, None] = {}
    for node in graph:
        if node.name in machinery:
            continue
        if node.op in _PYTHON_OPS and _reads_variable(graph, table, node):
            # It stands in the middle of the network, not before it.
            continue
        if node.op in PLACEHOLDER_OPS or is_pipeline(node) or is_random(node):
            read = {use.tensor for use in graph.successors(node.name)}
            tensors = sorted(read, key=lambda one: int(one.rpartition(":")[2]))
            found.update((one, None) for one in tensors or [f"{node.name}:0"])
    return [tensor for tensor in found if tensor not in switches]


def _reads_variable(graph: Graph, table: VariableTable, node: Node) -> bool:
    return any(table.name_of(name) is not None for name in ancestors(graph, node.inputs))


def _fed_by(graph: Graph, tensors: Iterable[str], follow: Callable[[Use], bool]) -> Set[str]:
    readers = [
        use.node.name for tensor in tensors for use in graph.consumers(tensor) if follow(use)
    ]
    return descendants(graph, readers, follow)


def _class_labels(graph: Graph, sources: Set[str]) -> Set[str]:
    """Give the sources that a cross entropy compares logits with which do not depend on them."""
    taught: Set[str] = set()
    losses = [node for node in graph if node.op in CROSS_ENTROPY_OPS and len(node.inputs) > 1]
    for node in losses[:_MAX_CROSS_ENTROPIES]:
        if not is_gradient(node):
            taught |= _sources_of(graph, node.inputs[1], sources) - _sources_of(
                graph, node.inputs[0], sources
            )
    return taught


def _sampled_labels(
    graph: Graph, table: VariableTable, sources: Iterable[str], follow: Callable[[Use], bool]
) -> Set[str]:
    """Give the sources that only a loss over drawn classes reads: nce_loss, sampled_softmax_loss.

    The classes are drawn beside the true ones, and together they ask the weights for their rows.
    """
    samplers = [node for node in graph if node.op.endswith("CandidateSampler") and node.inputs]
    if not samplers:
        return set()
    known = set(sources)
    asked = {one for node in samplers for one in _sources_of(graph, node.inputs[0], known)}
    drawn = descendants(graph, [node.name for node in samplers])

    def reads_variable(name: str) -> bool:
        return any(table.origin(tensor) is not None for tensor in _inputs(graph, name))

    return {
        source
        for source in asked
        if not any(map(reads_variable, _fed_by(graph, [source], follow) - drawn))
    }


def _sources_of(graph: Graph, tensor: str, sources: Set[str]) -> Set[str]:
    read = {one for name in ancestors(graph, [tensor]) for one in _inputs(graph, name)}
    return (read | {tensor}) & sources


def _inputs(graph: Graph, name: str) -> Iterable[str]:
    node = graph.get(name)
    return node.inputs if node is not None else ()
