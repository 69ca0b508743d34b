"""What a plan leaves open: which layers could stand in a module's place by kind and shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from stage_load.export_view import ExportView, Layer
from stage_load.names import words
from stage_load.pairing import UnitPair, coarse_torch_key
from stage_load.plan import Plan
from stage_load.tf_units import TfUnit
from stage_load.torch_units import TorchUnit

_SAME_VALUES = frozenset({"Pad", "PadV2"})


@dataclass(frozen=True)
class Choices:
    """What may be exchanged.

    Attributes:
        proposals: module path -> the unit it is loaded with.
        modules: module path -> its description.
        groups: module path -> all units of its kind and shape, its own first.
        origins: layer index -> the tensor that the layer reads, before padding.
        alike: layer index -> what it has in common with those that the dataflow does not tell from
            it.
    """

    proposals: Mapping[str, TfUnit]
    modules: Mapping[str, TorchUnit]
    groups: Mapping[str, Sequence[TfUnit]]
    origins: Mapping[int, str | None]
    alike: Mapping[int, Hashable]

    @classmethod
    def of(cls, view: ExportView, plan: Plan) -> Choices:
        """Return what a plan leaves open: pairs with places of their own that nobody has named.

        A module that is called as one layer of its kind and shape is, and no other, is named.
        """
        placed = {place.layer for place in plan.places}
        calls = Counter(pair.torch.path for pair in plan.pairs)
        pairs = [
            pair
            for pair in plan.pairs
            if pair.tf.layer.index in placed and not pair.given and calls[pair.torch.path] == 1
        ]
        members: dict[Hashable, list[UnitPair]] = {}
        for pair in pairs:
            members.setdefault(coarse_torch_key(pair.torch), []).append(pair)
        members = {key: _unnamed(group) for key, group in members.items()}
        groups = {
            pair.torch.path: [pair.tf, *(other.tf for other in group if other is not pair)]
            for group in members.values()
            if len(group) > 1
            for pair in group
        }
        return cls(
            {pair.torch.path: pair.tf for pair in pairs},
            {pair.torch.path: pair.torch for pair in pairs},
            groups,
            {pair.tf.layer.index: _origin(view, pair.tf.layer) for pair in pairs},
            {pair.tf.layer.index: pair.group for pair in pairs},
        )


def _unnamed(group: Sequence[UnitPair]) -> list[UnitPair]:
    ends = Counter(
        path
        for pair in group
        for path in {words(other.torch.path) for other in group}
        if _ends_with(words(pair.tf.layer.name), path)
    )
    return [
        pair
        for pair in group
        if ends[words(pair.torch.path)] != 1
        or not _ends_with(words(pair.tf.layer.name), words(pair.torch.path))
    ]


def _ends_with(name: tuple[str, ...], end: tuple[str, ...]) -> bool:
    return any(map(str.isalpha, end)) and name[-len(end) :] == end


def _origin(view: ExportView, layer: Layer) -> str | None:
    if layer.input is None:
        return None
    tensor = view.source(layer.input)
    while view.has_graph and view.node_of(tensor).op in _SAME_VALUES:
        tensor = view.source(view.node_of(tensor).inputs[0])
    return tensor
