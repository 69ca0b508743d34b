"""Placeholders and flags that switch between training and inference, and the value of inference.

What a switch does in the graph says more than its name: people call the share that dropout KEEPS
"dropout", and a flag that turns batch statistics off "test". Names decide where the graph does not.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Set

from stage_extract.graph.attributes import plain_array
from stage_extract.graph.conditions import SWITCH_OPS, find_dead
from stage_extract.graph.dropout import find_masks
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.traverse import ancestors

PLACEHOLDER_OPS = frozenset(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"))

_FLAG_VARIABLE_OPS = frozenset(("Variable", "VariableV2"))
_FLOATS = frozenset(("bfloat16", "float16", "float32", "float64"))
_NUMBERS = _FLOATS | {"int8", "int16", "int32", "int64", "uint8"}
# Ops that only training needs; the branch of a tf.cond that holds them is the training branch.
_TRAINING_OPS = frozenset(
    (
        "Assign",
        "AssignAdd",
        "AssignSub",
        "AssignSubVariableOp",
        "AssignVariableOp",
        "RandomUniform",
        "SquaredDifference",
    )
)
_BATCH_NORM_OPS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))

_TRAINING_NAME = re.compile(r"(^|_)(is_?)?(train|training|phase)(_|$)|^is_?train|learning_?phase")
_INFERENCE_NAME = re.compile(
    r"(^|_)(is_?)?(test|testing|eval\w*|infer\w*|predict\w*|determinis\w*)"
)
_KEEP_NAME = re.compile(r"(^|_)keep(_|$|prob|rate|ratio|p$)")
_DROP_NAME = re.compile(r"^rate$|(^|_)drop(_|$|out|rate|prob)")

ASSUMED = "a boolean placeholder of unknown meaning: False is assumed"

# More flags than this are judged by their names alone: each costs two walks over the graph.
_MAX_TRIED_FLAGS = 16
# A probability is a short expression; more nodes mean that it is none.
_MAX_EXPRESSION_NODES = 64


class Switch(NamedTuple):
    """A placeholder with the value that inference gives it."""

    tensor: str
    value: Any
    why: str


_Chooser = Callable[[Graph, List[Node], Mapping[str, Any]], Iterator[Switch]]


def find_switches(graph: Graph, inputs: Iterable[str] = ()) -> List[Switch]:
    """Find all switches of a graph, in the order of the file.

    Args:
        inputs: tensors that the user calls inputs: they are no switches.
    """
    taken = {node_name(tensor) for tensor in inputs}
    scalars = [node for node in graph if node.name not in taken and _may_switch(node)]
    found: Dict[str, Switch] = {}
    choosers: List[_Chooser] = [_by_dropout, _by_branches, _by_name, _by_default, _assumed]
    for choose in choosers:
        rest = [node for node in scalars if f"{node.name}:0" not in found]
        values = {switch.tensor: switch.value for switch in found.values()}
        for switch in choose(graph, rest, values):
            found[switch.tensor] = switch
    return [found[f"{node.name}:0"] for node in scalars if f"{node.name}:0" in found]


def _may_switch(node: Node) -> bool:
    """Tell whether a node is a placeholder of one element or unknown shape, or a training flag."""
    # Op and name first: reading an attribute of each of many thousand nodes costs memory for good.
    if node.op in _FLAG_VARIABLE_OPS:
        # TFLearn keeps its flag in a variable; the checkpoint holds what it was when it was saved.
        is_flag = bool(_TRAINING_NAME.search(_plain(node.name)))
        return is_flag and node.attribute("dtype") == "bool" and not node.attribute("shape")
    if node.op not in PLACEHOLDER_OPS or node.attribute("dtype") == "string":
        return False
    sizes = node.attribute("shape")
    # An absent shape, and [] of TensorFlow before 1.0, stand for "unknown".
    return not sizes or sizes == [1] or (node.op == "PlaceholderWithDefault" and len(sizes) == 1)


def _by_dropout(graph: Graph, nodes: List[Node], values: Mapping[str, Any]) -> Iterator[Switch]:
    """Give what steers a dropout mask the value with which the mask keeps everything."""
    wanted = {node.name for node in nodes if node.attribute("dtype") in _FLOATS}
    for mask in find_masks(graph) if wanted else ():
        for name in sorted(_expression(graph, mask.probability) & wanted):
            for value in (1.0, 0.0):
                tensor = f"{name}:0"
                if mask.keep(Evaluator(graph, {**values, tensor: value})) == 1.0:
                    wanted.discard(name)
                    yield Switch(tensor, value, f"dropout keeps everything when it is {value}")
                    break


def _expression(graph: Graph, tensor: str) -> Set[str]:
    """Give the nodes of a short expression; none for a long one."""
    visited: List[str] = []

    def too_far(node: Node) -> bool:
        visited.append(node.name)
        return len(visited) > _MAX_EXPRESSION_NODES

    found = ancestors(graph, [tensor], too_far)
    return found if len(visited) <= _MAX_EXPRESSION_NODES else set()


def _by_branches(graph: Graph, nodes: List[Node], values: Mapping[str, Any]) -> Iterator[Switch]:
    """Give a flag the value that does not enter the branches with training's ops."""
    flags = [node for node in nodes if node.attribute("dtype") == "bool"]
    if not any(node.op in SWITCH_OPS for node in graph):
        return
    for node in flags[:_MAX_TRIED_FLAGS]:
        tensor = f"{node.name}:0"
        dead_when = {
            value: find_dead(graph, Evaluator(graph, {**values, tensor: value})).causes
            for value in (False, True)
        }
        training = {
            value: sum(
                _training_weight(graph.get(name))
                for name in dead_when[not value]
                if name not in dead_when[value]
            )
            for value in (False, True)
        }
        if training[True] != training[False]:
            wanted = training[True] < training[False]
            yield Switch(tensor, wanted, f"{not wanted} would run the branch of the training")


def _training_weight(node: Any) -> int:
    """Count a node for (1) or against (-1) its branch being the training's."""
    if node.op in _BATCH_NORM_OPS:
        return -1 if node.attribute("is_training") is False else 1
    return int(node.op in _TRAINING_OPS)


def _by_name(graph: Graph, nodes: List[Node], values: Mapping[str, Any]) -> Iterator[Switch]:
    for node in nodes:
        name = _plain(node.name)
        dtype = node.attribute("dtype")
        tensor = f"{node.name}:0"
        if dtype == "bool" and _TRAINING_NAME.search(name):
            yield Switch(tensor, False, "named like a training flag")
        elif dtype == "bool" and _INFERENCE_NAME.search(name):
            yield Switch(tensor, True, "named like an inference flag")
        elif dtype in _FLOATS and _KEEP_NAME.search(name):
            yield Switch(tensor, 1.0, "named like a keep probability of dropout")
        elif dtype in _FLOATS and _DROP_NAME.search(name):
            yield Switch(tensor, 0.0, "named like a drop rate of dropout")
        elif dtype in _NUMBERS and _TRAINING_NAME.search(name) and node.attribute("shape") == []:
            value = 0.0 if dtype in _FLOATS else 0
            yield Switch(tensor, value, "named like a training flag")


def _plain(name: str) -> str:
    """Give the last part of a node name in lower case, isTraining_1 as is_training."""
    last = re.sub(r"_\d+$", "", name.rpartition("/")[2])
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last).lower()


def _by_default(graph: Graph, nodes: List[Node], values: Mapping[str, Any]) -> Iterator[Switch]:
    evaluator = Evaluator(graph, {})
    for node in nodes:
        if node.op == "PlaceholderWithDefault" and node.inputs:
            default = evaluator.value(node.inputs[0])
            if default is not None and default.ndim <= 1:
                yield Switch(
                    f"{node.name}:0", plain_array(default), "a placeholder keeps its default"
                )


def _assumed(graph: Graph, nodes: List[Node], values: Mapping[str, Any]) -> Iterator[Switch]:
    for node in nodes:
        if node.attribute("dtype") == "bool":
            yield Switch(f"{node.name}:0", False, ASSUMED)
