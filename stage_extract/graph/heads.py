"""The outputs of a model: where its forward pass ends and losses, metrics or nothing begin."""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.graph.conditions import SWITCH_OPS
from stage_extract.graph.dtypes import output_dtype
from stage_extract.graph.graphdef import Graph, Node, Use, node_name, output_index
from stage_extract.graph.losses import COMBINING_OPS, COMPARING_OPS, DECISION_OPS, LossReader
from stage_extract.graph.machinery import is_gradient
from stage_extract.graph.network import CROSS_ENTROPY_OPS, Network
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.sigmoid_loss import find_sigmoid_losses
from stage_extract.graph.traverse import descendants

# Ops of several outputs that are all data; of any other op the first output is.
_DIVIDING_OPS = frozenset(("Split", "SplitV", "Unpack", "Unstack"))
_MAX_DIVISIONS = 1024
_DECIDED_TYPES = frozenset(("bool", "int8", "int16", "int32", "int64", "uint8", "string"))
_HANDLE_TYPES = frozenset(("resource", "variant"))
_LOOP_ENTRIES = frozenset(("Enter", "RefEnter"))
_LOOP_EXITS = frozenset(("Exit", "RefExit"))
# Ops that give what they read in another arrangement: the state of a recurrent cell, for instance.
_ARRANGING_OPS = frozenset(
    ("Concat", "ConcatV2", "GatherNd", "Identity", "Pack", "ReverseSequence", "ReverseV2", "Select",
     "Slice", "StridedSlice", "TensorArrayGatherV3", "TensorListStack",
     "Transpose")
)  # fmt: skip
_BY_PRODUCT = "a by-product: nothing reads it, and the model goes on from the same layers"
ENDING_OPS = frozenset(("Sigmoid", "Softmax", "Tanh"))
_ACTIVATIONS = frozenset(("Elu", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softsign", "Tanh"))


class Head(NamedTuple):
    """A tensor where the forward pass may end.

    Attributes:
        tensor: its name.
        why: how it was found, for people.
        read_by_loss_only: nothing but a loss reads it.
    """

    tensor: str
    why: str
    read_by_loss_only: bool


class Rejected(NamedTuple):
    """A tensor at the end of the graph that is no output."""

    tensor: str
    why: str


class HeadFinder:
    """Finds the ends of one network.

    Args:
        graph: the rewritten graph.
        network: the model in it.
        shapes: its static shapes.
    """

    def __init__(self, graph: Graph, network: Network, shapes: StaticShapes) -> None:
        self._graph = graph
        self._network = network
        self._shapes = shapes
        self._sigmoid_losses: Dict[str, Set[str]] = {}
        for loss in find_sigmoid_losses(graph):
            if node_name(loss.logits) in network.forward:
                self._sigmoid_losses.setdefault(loss.logits, set()).update(loss.inside)
        self.rejected: List[Rejected] = []
        entries = [node.name for node in graph if node.op in _LOOP_ENTRIES]
        self._in_loops = descendants(graph, entries, lambda use: use.node.op not in _LOOP_EXITS)
        self._body = self._model_nodes()
        self._losses = LossReader(graph, shapes, self._is_derived, self._is_inner)

    def find(self) -> List[Head]:
        """Give all ends, in the order of the file; none twice."""
        found: Dict[str, Head] = {}
        for node in self._graph:
            if node.name in self._body:
                for tensor in self._open_tensors(node):
                    for head in self._heads_of(self._behind_branch(tensor)):
                        known = found.get(head.tensor)
                        if known is None or known.read_by_loss_only:
                            found[head.tensor] = head
        return list(found.values())

    def compared(self) -> List[str]:
        """Give the tensors that a loss compares with labels directly, in the order of the file."""
        return [
            self._losses.unflattened(f"{node.name}:0")
            for node in self._graph
            if node.name in self._body
            and any(
                use.node.op in COMPARING_OPS and use.node.name not in self._network.forward
                for use in self._effective_readers(f"{node.name}:0")
            )
        ]

    def _behind_branch(self, tensor: str) -> str:
        """Give what entered a tf.cond instead of its Switch, or the Identity in its place."""
        node = self._graph.producer(tensor)
        while node is not None and node.proto.op in SWITCH_OPS and node.inputs:
            tensor = node.inputs[0]
            node = self._graph.producer(tensor)
        return tensor

    def _is_derived(self, tensor: str) -> bool:
        return node_name(tensor) in self._network.forward

    def _is_inner(self, node: Node) -> bool:
        return node.name in self._network.layers

    def _model_nodes(self) -> Set[str]:
        """Give the forward nodes without decisions, scalars and what follows from these alone."""
        body = set(self._network.forward)
        for inside in self._sigmoid_losses.values():
            body -= inside
        body -= {name for name in self._network.aside if not self._is_kept(name)}
        names = [node.name for node in self._graph if node.name in body]
        pending = [name for name in names if self._is_end_by_itself(name)]
        for name in pending:
            body.discard(name)
        for inside in self._sigmoid_losses.values():
            pending.extend(sorted(inside))
        while pending:
            for use in self._graph.successors(pending.pop()):
                name = use.node.name
                if name in body and name not in self._network.going_on:
                    inputs = [one for one in use.node.inputs if self._is_derived(one)]
                    if not any(node_name(one) in body for one in inputs):
                        body.discard(name)
                        pending.append(name)
        return body

    def _is_kept(self, name: str) -> bool:
        node = self._graph.get(name)
        return name in self._network.layers or (node is not None and node.op in _ACTIVATIONS)

    def _is_end_by_itself(self, name: str) -> bool:
        node = self._graph.get(name)
        if node is None or name in self._network.going_on or name in self._network.layers:
            return False
        if node.op in CROSS_ENTROPY_OPS or node.op in DECISION_OPS or node.op == "CTCLoss":
            self.rejected.append(Rejected(f"{name}:0", f"{node.op} is a decision, not an output"))
            return True
        if output_dtype(node, 0) == "string":
            self.rejected.append(Rejected(f"{name}:0", "a text, no output"))
            return True
        # The flow of a TensorArray is a scalar too; tensors travel beside it.
        carries_flow = name in self._in_loops or node.op in _LOOP_EXITS
        if self._shapes.of(f"{name}:0") == () and not carries_flow:
            if not self._effective_readers(f"{name}:0"):
                self.rejected.append(Rejected(f"{name}:0", "a scalar: a loss or a metric"))
            return True
        return False

    def _effective_readers(self, tensor: str) -> List[Use]:
        return [use for use in self._graph.consumers(tensor) if not is_gradient(use.node)]

    def _open_tensors(self, node: Node) -> Iterator[str]:
        """Give the outputs of a node that no node of the model reads."""
        # What a loop computes can be fetched only behind its Exit.
        if node.name in self._network.going_on or node.name in self._in_loops:
            return
        read = {
            use.tensor for use in self._graph.successors(node.name) if use.node.name in self._body
        }
        if node.op in _DIVIDING_OPS:
            count = node.attribute("num") or node.attribute("num_split") or 1
            tensors = (f"{node.name}:{index}" for index in range(min(count, _MAX_DIVISIONS)))
            yield from (tensor for tensor in tensors if tensor not in read)
        elif not read:
            yield f"{node.name}:0"

    def _heads_of(self, tensor: str) -> Iterator[Head]:
        node = self._graph.producer(tensor)
        readers = self._effective_readers(tensor)
        if node is not None and node.op in _LOOP_EXITS and not readers:
            self.rejected.append(Rejected(tensor, "the final state of a loop, nothing reads it"))
            return
        dtype = None if node is None else output_dtype(node, output_index(tensor))
        if dtype in _HANDLE_TYPES:
            self.rejected.append(Rejected(tensor, "a list or a handle, no tensor"))
            return
        if dtype in _DECIDED_TYPES:
            self.rejected.append(Rejected(tensor, "whole numbers: a decision, not an output"))
            return
        if tensor in self._sigmoid_losses:
            yield Head(tensor, "the logits of a sigmoid cross entropy", True)
            return
        judging = [use for use in readers if self._judges(use)]
        if not judging or len(judging) < len(readers):
            yield Head(tensor, self._ending(tensor, readers), False)
            return
        for judged in self._losses.judged(tensor, judging):
            if self._is_derived(judged):
                going_on = node_name(judged) in self._network.going_on
                why = "a loss reads it" + (", and further layers as well" if going_on else "")
                yield Head(judged, why, True)

    def _judges(self, use: Use) -> bool:
        """Tell whether a reader of a last tensor is a loss: it sees labels or makes a scalar."""
        name = use.node.name
        return (
            name not in self._network.forward
            or self._shapes.of(f"{name}:0") == ()
            or use.node.op in CROSS_ENTROPY_OPS
        ) and use.node.op not in DECISION_OPS

    def _ending(self, tensor: str, readers: Sequence[Use]) -> str:
        if not readers:
            return "the forward pass ends here"
        names = ", ".join(sorted({use.node.op for use in readers})[:3])
        return f"the forward pass ends here; read by {names}"


def only_last(
    graph: Graph, heads: Sequence[Head], network: Network, compared: Sequence[str]
) -> Tuple[List[Head], List[Rejected]]:
    """Drop heads that further layers read, that another head is computed from, and by-products.

    Where nothing else ends the model, its by-products do: a recurrent layer, for one, goes on to
    its own next step.

    Args:
        compared: tensors that a loss compares with labels: what else the loss makes of them is no
            output.
    """
    reasons = {head: _reason_against(graph, head, network, compared) for head in heads}
    if all(reasons.values()):
        reasons = {head: None if why == _BY_PRODUCT else why for head, why in reasons.items()}
    kept: Dict[str, Head] = {}
    rejected: List[Rejected] = []
    for head, reason in reasons.items():
        if reason is None:
            kept[head.tensor] = head
        else:
            rejected.append(Rejected(head.tensor, reason))
    for head in [one for one in kept.values() if _is_made_to_decide(graph, one)]:
        nodes = between(graph, head.tensor, network) - {node_name(head.tensor)}
        if any(node_name(tensor) in nodes for tensor in kept):
            del kept[head.tensor]
            rejected.append(Rejected(head.tensor, "made for a decision, no output"))
    names = {node_name(tensor): tensor for tensor in kept}
    for head in list(kept.values()):
        for earlier in sorted(between(graph, head.tensor, network)):
            tensor = names.get(earlier)
            if tensor is not None and tensor in kept and earlier != node_name(head.tensor):
                del kept[tensor]
                rejected.append(Rejected(tensor, f"{head.tensor} is computed from it"))
    return list(kept.values()), rejected


def _is_made_to_decide(graph: Graph, head: Head) -> bool:
    """Tell whether a head is arithmetic for a decision alone: logits over a temperature, drawn."""
    node = graph.get(node_name(head.tensor))
    readers = [use.node for use in graph.consumers(head.tensor) if not is_gradient(use.node)]
    is_arithmetic = node is not None and node.op in COMBINING_OPS
    return is_arithmetic and bool(readers) and all(one.op in DECISION_OPS for one in readers)


def _reason_against(
    graph: Graph, head: Head, network: Network, compared: Sequence[str]
) -> Optional[str]:
    name = node_name(head.tensor)
    node = graph.get(name)
    op = "" if node is None else node.op
    if name in network.going_on:
        return f"{head.why}: not the end of the model"
    nodes = between(graph, head.tensor, network)
    if head.read_by_loss_only and op not in ENDING_OPS:
        for tensor in compared:
            if tensor != head.tensor and node_name(tensor) in nodes:
                return f"a part of the loss that reads {tensor}"
    layers = nodes & network.layers
    if op in _ARRANGING_OPS and not graph.consumers(head.tensor) and layers <= network.going_on:
        return _BY_PRODUCT
    return None


def between(graph: Graph, tensor: str, network: Network) -> Set[str]:
    """Give the nodes from the last layers to a tensor, the last layers included."""
    found: Set[str] = set()
    pending = [node_name(tensor)]
    while pending:
        name = pending.pop()
        node: Optional[Node] = graph.get(name)
        if name in found or node is None or name not in network.forward:
            continue
        found.add(name)
        if name not in network.layers or name == node_name(tensor):
            pending.extend(node_name(one) for one in node.inputs)
    return found
