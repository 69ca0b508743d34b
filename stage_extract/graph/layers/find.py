"""All layers of a forward pass, in the order in which it meets them."""

from __future__ import annotations

from types import MappingProxyType
from typing import AbstractSet, Callable, Dict, List, Mapping, Optional, Set, Union

from stage_extract.graph.graphdef import Node, node_name
from stage_extract.graph.layers import (
    batch_norm,
    batch_norm_formula,
    bias,
    conv1d,
    convolution,
    dense,
    embedding,
    grouped,
    prelu,
)
from stage_extract.graph.layers.layer import ACTIVATIONS, Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.layers.moving_averages import MovingAverages
from stage_extract.graph.layers.normalisation.find import match_normalisation
from stage_extract.graph.layers.normalisation.statistics import ROOT_OPS
from stage_extract.graph.layers.recurrent.find import find_recurrent
from stage_extract.graph.machinery import SHAPE_OPS
from stage_extract.graph.tiles import CONCATENATIONS

_Matched = Union[Layer, NoMatch]

_READERS: Mapping[str, Callable[[Forward, Node], _Matched]] = MappingProxyType(
    {
        **dict.fromkeys(convolution.CONVOLUTION_OPS, convolution.match_convolution),
        "Gather": embedding.match_embedding,
        "GatherV2": embedding.match_embedding,
        "MatMul": dense.match_dense,
        "ResourceGather": embedding.match_embedding,
    }
)
_NORMALISERS: Mapping[str, Callable[[Forward, Node, MovingAverages], _Matched]] = MappingProxyType(
    {
        "BatchNormWithGlobalNormalization": batch_norm.match_global,
        "FusedBatchNorm": batch_norm.match_fused,
        "FusedBatchNormV2": batch_norm.match_fused,
        "FusedBatchNormV3": batch_norm.match_fused,
    }
)


def find_layers(
    forward: Forward, moving: MovingAverages, folded: AbstractSet[str] = frozenset()
) -> List[Layer]:
    """Give all applications of variables, in the order in which the forward pass computes them.

    Args:
        folded: nodes that compute a kernel from variables: they are no layers.
    """
    finder = _LayerFinder(forward, moving, folded)
    return finder.find()


class _LayerFinder:
    def __init__(self, forward: Forward, moving: MovingAverages, folded: AbstractSet[str]) -> None:
        self._forward = forward
        self._moving = moving
        self._layers: Dict[str, Layer] = {}
        self._by_output: Dict[str, Layer] = {}
        self._folded = folded
        self._claimed: Set[str] = set(folded)

    def find(self) -> List[Layer]:
        forward = self._forward
        recurrent = find_recurrent(forward)
        for one in recurrent:
            self._claimed.update(one.layer.nodes)
        for node in forward.order:
            if node.name not in self._folded:
                self._match_composed(node)
        for node in forward.order:
            if node.name not in self._claimed and self._reads_variable(node):
                self._match_single(node)
        place = {node.name: index for index, node in enumerate(forward.order)}
        met = [(place[one.meets], one.layer) for one in recurrent]
        met += [(place[node_name(one.op_output)], one) for one in self._layers.values()]
        ordered = sorted(met, key=lambda pair: pair[0])
        return grouped.mark_groups(forward, [self._completed(layer) for _, layer in ordered])

    def _match_composed(self, node: Node) -> None:
        """Match what consists of several nodes, before its parts are looked at one by one."""
        layer: Optional[_Matched] = None
        if node.op in ROOT_OPS:
            layer = match_normalisation(self._forward, node)
        elif node.op in prelu.RECTIFYING_OPS and node.name not in self._claimed:
            layer = prelu.match_prelu(self._forward, node)
        if layer is None and node.op in batch_norm_formula.INVERSE_ROOT_OPS:
            layer = batch_norm_formula.match_decomposed(self._forward, node, self._moving)
        elif node.op in CONCATENATIONS:
            layer = grouped.match_shared_kernel(self._forward, node)
        elif node.op in embedding.STITCH_OPS:
            layer = embedding.match_partitioned_embedding(self._forward, node)
            if isinstance(layer, NoMatch):
                return
        if isinstance(layer, Layer):
            self._add(layer)

    def _match_single(self, node: Node) -> None:
        matched = self._match_known(node)
        if isinstance(matched, Layer):
            self._add(matched)
            return
        found = bias.attach_or_make(self._forward, node, self._by_output)
        if found is None:
            self._add(self._other(node, matched))
            return
        self._add(found)

    def _match_known(self, node: Node) -> _Matched:
        if node.op in _READERS:
            return _READERS[node.op](self._forward, node)
        if node.op in _NORMALISERS:
            return _NORMALISERS[node.op](self._forward, node, self._moving)
        origins = [self._forward.table.origin(tensor) for tensor in node.inputs]
        if sum(origin is not None for origin in origins) > 1 and node.op in CONCATENATIONS:
            return NoMatch("it is joined with other variables of the checkpoint")
        return NoMatch(f"{node.op} of a variable is no op kind of this version")

    def _add(self, layer: Layer) -> None:
        self._layers[layer.op] = layer
        self._by_output[layer.op_output] = layer
        self._claimed.update(layer.nodes)

    def _reads_variable(self, node: Node) -> bool:
        table = self._forward.table
        if node.op in SHAPE_OPS or table.is_handing_on(node):
            return False
        return any(table.origin(tensor) is not None for tensor in node.inputs)

    def _other(self, node: Node, why: NoMatch) -> Layer:
        table = self._forward.table
        variables = {}
        reason = why.reason
        data = None
        for index, tensor in enumerate(node.inputs):
            origin = table.origin(tensor)
            if origin is None:
                data = self._forward.operand(node, index) if data is None else data
            else:
                variables[f"operand_{index}"] = origin.variable
                reason = why_not_plain(origin) or batch_norm.why_renormalised(origin) or reason
        return Layer(
            kind="other",
            op=node.name,
            variables=variables,
            axes={},
            input=data,
            op_output=f"{node.name}:0",
            output=f"{node.name}:0",
            attributes={"op_type": node.op},
            nodes=frozenset((node.name,)),
            reason=reason,
        )

    def _completed(self, layer: Layer) -> Layer:
        layer = conv1d.with_squeeze(self._forward, layer)
        use = self._forward.sole_reader(layer.output)
        if use is None or use.node.op not in ACTIVATIONS:
            return layer
        return layer._replace(activation=use.node.op)
