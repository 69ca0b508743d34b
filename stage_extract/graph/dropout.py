"""Dropout, which an inference graph does not have: found by its structure, replaced by its input.

Forms of tf.nn.dropout: x / keep * floor(keep + uniform) up to TensorFlow 1.12, and
x * (1 / (1 - rate)) * cast(uniform >= rate) after it.
"""

from __future__ import annotations

import math
from typing import Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.machinery import is_gradient
from stage_extract.graph.rewriting import Rewrite
from stage_extract.graph.traverse import MERGE_OPS, PASS_THROUGH, behind

RANDOM_UNIFORM_OPS = frozenset(("RandomUniform", "StatelessRandomUniform"))
_ADD_OPS = frozenset(("Add", "AddV2"))
_DIVISION_OPS = frozenset(("Div", "RealDiv"))
# (op, whether the uniform numbers are its first operand) -> whether the other operand is the rate.
_COMPARES_WITH_RATE: Dict[Tuple[str, bool], bool] = {
    ("GreaterEqual", True): True,
    ("Greater", True): True,
    ("Less", True): False,
    ("LessEqual", True): False,
    ("Less", False): True,
    ("LessEqual", False): True,
    ("Greater", False): False,
    ("GreaterEqual", False): False,
}
_TOLERANCE = 1e-5


class Mask(NamedTuple):
    """A random mask of zeros and ones.

    Attributes:
        tensor: the mask.
        probability: the scalar tensor that steers it.
        is_rate: the scalar is the share that is dropped; otherwise the share that is kept.
    """

    tensor: str
    probability: str
    is_rate: bool

    def keep(self, evaluator: Evaluator) -> Optional[float]:
        """Give the share of elements that are kept, None if it is not known before the run."""
        value = evaluator.scalar(self.probability)
        if value is None:
            return None
        return 1.0 - value if self.is_rate else float(value)


def find_masks(graph: Graph) -> List[Mask]:
    """Find all dropout masks of a graph, in the order of the file."""
    return [mask for node in graph for mask in [_mask(graph, node)] if mask is not None]


def _mask(graph: Graph, node: Node) -> Optional[Mask]:
    if node.op not in ("Floor", "Cast") or len(node.inputs) != 1:
        return None
    test = graph.producer(behind(graph, node.inputs[0]))
    if test is None or len(test.inputs) != 2:
        return None
    first_is_random = _is_uniform(graph, test.inputs[0])
    if not first_is_random and not _is_uniform(graph, test.inputs[1]):
        return None
    probability = test.inputs[1] if first_is_random else test.inputs[0]
    if node.op == "Floor":
        return Mask(f"{node.name}:0", probability, False) if test.op in _ADD_OPS else None
    is_rate = _COMPARES_WITH_RATE.get((test.op, first_is_random))
    return None if is_rate is None else Mask(f"{node.name}:0", probability, is_rate)


def _is_uniform(graph: Graph, tensor: str) -> bool:
    """Tell whether a tensor is tf.random_uniform: the op itself, or numbers * range + minimum."""
    node = graph.producer(behind(graph, tensor))
    for ops in (_ADD_OPS, frozenset(("Mul",))):
        if node is not None and node.op in ops and node.inputs:
            node = graph.producer(behind(graph, node.inputs[0]))
    return node is not None and node.op in RANDOM_UNIFORM_OPS


class WithoutDropout(NamedTuple):
    """A graph without dropout.

    Attributes:
        graph: the same graph, with an Identity for each product with a mask.
        rewrites: what was replaced.
        leftovers: the nodes that scaled what was to be dropped; nothing reads them any more.
    """

    graph: Graph
    rewrites: List[Rewrite]
    leftovers: FrozenSet[str]


def remove_dropout(graph: Graph, evaluator: Evaluator) -> WithoutDropout:
    """Let Identity stand for each dropout.

    A mask whose product is not scaled by 1 / keep is left alone unless it keeps everything: without
    the scaling, dropping nothing would be another function.
    """
    rewrites: List[Rewrite] = []
    changed: Dict[str, Node] = {}
    leftovers: Set[str] = set()
    for mask in find_masks(graph):
        for product in products(graph, mask):
            rewrite = _rewrite(graph, mask, product, evaluator)
            if rewrite is not None and product.name not in changed:
                rewrites.append(rewrite)
                changed[product.name] = product.rewired("Identity", (rewrite.becomes,))
                leftovers.update(node_name(tensor) for tensor in product.inputs)
                leftovers.discard(node_name(rewrite.becomes))
    return WithoutDropout(graph.with_nodes(changed), rewrites, frozenset(leftovers))


def dropped_shares(graph: Graph) -> Dict[str, Optional[float]]:
    """Give, for each product with a mask, the share dropped; None if it is fed at run time."""
    evaluator = Evaluator(graph, {})
    shares: Dict[str, Optional[float]] = {}
    for mask in find_masks(graph):
        keep = mask.keep(evaluator)
        for product in products(graph, mask):
            shares[product.name] = None if keep is None else round(1.0 - keep, 7)
    return shares


def marked(
    rewrites: List[Rewrite], graph: Graph, shares: Mapping[str, Optional[float]]
) -> List[Rewrite]:
    """Mark the rewrites that take a dropout away: the product itself, or the tf.cond around it.

    Args:
        graph: the graph as it was saved.
    """
    found = []
    for rewrite in rewrites:
        node = graph.get(rewrite.node)
        names = [rewrite.node]
        if node is not None and node.op in MERGE_OPS:
            names = [node_name(behind(graph, tensor)) for tensor in node.inputs]
        product = next((name for name in names if name in shares), None)
        if product is not None:
            rewrite = rewrite._replace(is_dropout=True, rate=shares[product])
        found.append(rewrite)
    return found


def products(graph: Graph, mask: Mask) -> Iterator[Node]:
    """Give the multiplications by a mask in the forward pass, also behind a chain of Identity."""
    pending = [mask.tensor]
    seen = set(pending)
    while pending:
        for use in graph.consumers(pending.pop()):
            handed_on = f"{use.node.name}:0"
            if use.node.op == "Mul":
                if not is_gradient(use.node):
                    yield use.node
            elif use.node.op in PASS_THROUGH and handed_on not in seen:
                seen.add(handed_on)
                pending.append(handed_on)


def _rewrite(graph: Graph, mask: Mask, product: Node, evaluator: Evaluator) -> Optional[Rewrite]:
    keep = mask.keep(evaluator)
    scaled = [one for one in product.inputs if behind(graph, one) != behind(graph, mask.tensor)]
    if len(scaled) != 1:
        return None
    data = _unscaled(graph, behind(graph, scaled[0]), mask, evaluator)
    if keep is not None and _equal(keep, 1.0):
        becomes = scaled[0] if data is None else data
        return Rewrite(
            product.name, product.op, becomes, "dropout keeps everything (keep_prob 1.0)"
        )
    if data is None:
        return None
    share = "a keep_prob computed in the graph" if keep is None else f"keep_prob {keep:g}"
    why = f"dropout with {share}, hard-coded: inference drops nothing"
    return Rewrite(product.name, product.op, data, why)


def _unscaled(graph: Graph, tensor: str, mask: Mask, evaluator: Evaluator) -> Optional[str]:
    """Give x of x / keep or x * (1 / keep), None if the tensor is not scaled so."""
    node = graph.producer(tensor)
    if node is None or len(node.inputs) != 2:
        return None
    if node.op in _DIVISION_OPS:
        return node.inputs[0] if _is_keep(graph, node.inputs[1], mask, evaluator) else None
    if node.op == "Mul":
        for data, factor in (node.inputs, node.inputs[::-1]):
            if _is_inverse_of_keep(graph, factor, mask, evaluator):
                return data
    return None


def _is_keep(graph: Graph, tensor: str, mask: Mask, evaluator: Evaluator) -> bool:
    value, keep = evaluator.scalar(tensor), mask.keep(evaluator)
    if value is not None and keep is not None:
        return _equal(value, keep)
    base = behind(graph, tensor)
    if not mask.is_rate:
        return base == behind(graph, mask.probability)
    rest = graph.producer(base)
    # 1 - rate
    return (
        rest is not None
        and rest.op == "Sub"
        and behind(graph, rest.inputs[1]) == behind(graph, mask.probability)
    )


def _is_inverse_of_keep(graph: Graph, tensor: str, mask: Mask, evaluator: Evaluator) -> bool:
    value, keep = evaluator.scalar(tensor), mask.keep(evaluator)
    if value is not None and keep is not None:
        return _equal(value * keep, 1.0)
    node = graph.producer(behind(graph, tensor))
    if node is None or node.op not in _DIVISION_OPS:
        return False
    return evaluator.scalar(node.inputs[0]) == 1 and _is_keep(
        graph, node.inputs[1], mask, evaluator
    )


def _equal(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=_TOLERANCE)
