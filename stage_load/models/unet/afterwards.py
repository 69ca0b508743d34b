"""What a script computes from the finished scores: decisions, and shapes that a loss likes.

The module ends before the first of these.
"""

from __future__ import annotations

from dataclasses import dataclass

from stage_load.export_view import PASS_THROUGH_OPS, Node
from stage_load.models.unet import shaping
from stage_load.models.unet.activations import SINGLE_OPS
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import FAMILY, misfit
from stage_load.models.unet.sizes import NotComputable

DECISIONS = frozenset({"ArgMax", "Greater", "GreaterEqual", "Round", "TopKV2"})
# Cutting: one class of several, or the margin that was padded on before.
FLATTENINGS = frozenset({"Reshape", "Slice", "Squeeze", "StridedSlice"})
JOINING = frozenset({"Mul", "Pack"})
AFTERWARDS = (
    DECISIONS
    | FLATTENINGS
    | JOINING
    | PASS_THROUGH_OPS
    | SINGLE_OPS.keys()
    | frozenset({"Cast", "ExpandDims", "Transpose"})
)


@dataclass(frozen=True)
class Afterwards:
    """A tensor that a script computes from the finished scores: from which map, by which ops."""

    feature: Feature
    ops: tuple[str, ...]


class FinishedScores:
    """Follows what is computed from the finished scores; ``afterwards`` holds it by tensor."""

    def __init__(self, context: Context) -> None:
        self.afterwards: dict[str, Afterwards] = {}
        self._context = context

    def takes(self, node: Node) -> bool:
        """Tell whether ``node`` works on the finished scores, and note it.

        Raises:
            ModelDoesNotFit: it makes something else of them than scripts do after a network.
        """
        known = [self.afterwards[tensor] for tensor in node.inputs if tensor in self.afterwards]
        if known and node.op not in AFTERWARDS:
            scores = known[0].feature
            whose = "the scores" if scores.is_finished else f"'{scores.tensor}'"
            raise misfit(node, f"goes on after '{known[0].ops[0]}' of {whose}", FAMILY)
        if not known and node.op in DECISIONS | FLATTENINGS:
            maps = self._context.features_of(node)
            if maps and (node.op in DECISIONS or self._flattens(node, maps[0])):
                known = [Afterwards(maps[0], ())]
        if known:
            first = known[0]
            self._check_alone(node, first.feature)
            self.afterwards[node.output()] = Afterwards(first.feature, (*first.ops, node.op))
        return bool(known)

    def hand_on(self, node: Node, tensor: str) -> None:
        """Note that ``node`` ends an activation of ``tensor``, if the scores lead to it."""
        known = self.afterwards.get(tensor)
        if known is not None:
            self.afterwards[node.output()] = Afterwards(known.feature, (*known.ops, node.op))

    def _flattens(self, node: Node, given: Feature) -> bool:
        if given.ends_without_skip:
            return node.op == "Squeeze" or (
                node.op == "Reshape" and not shaping.keeps_shape(self._context, node, given)
            )
        return given.is_finished

    def _check_alone(self, node: Node, scores: Feature) -> None:
        """Refuse what joins the finished scores with anything that is no constant: part of a model.

        Raises:
            ModelDoesNotFit: as said.
        """
        for tensor in node.inputs if node.op in JOINING else ():
            after = self.afterwards.get(tensor)
            if after is not None and after.feature is scores:
                continue
            try:
                self._context.sizes.value(tensor)
            except NotComputable:
                raise misfit(node, f"joins the finished scores with '{tensor}'", FAMILY) from None
