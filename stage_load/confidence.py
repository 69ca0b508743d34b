"""How sure a pair of units is, from 0 to 1, before anything has been computed with it.

1 means that nothing else of its kind and shape is there, that nothing else is fed and read in the
same way, or that the order leaves no other place.
0.5 is an even choice between two places. What lies between comes from the names: how much more
alike they are than they would be if the two exchanged their places. Where the order says nothing,
as of branches side by side or without a graph, the names are all there is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from stage_load.align import CERTAIN
from stage_load.branches import Dependencies
from stage_load.export_view import ExportView
from stage_load.name_similarity import NameSimilarity
from stage_load.pairing import MOST_UNITS, UnitPair, coarse_key, coarse_torch_key
from stage_load.tf_units import TfUnit
from stage_load.torch_units import TorchModel, TorchUnit

LEAST = 0.6
"""Below it a pair must be confirmed by the reference run, or by somebody."""

_MOST_NEIGHBOURS = 8
"""Of many equal units, each is compared with so many before and behind it."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a pair is.

    Attributes:
        value: 0 to 1.
        rival: the torch module that the layer could have had as well; ``None`` where it is sure.
    """

    value: float
    rival: str | None


SURE = Confidence(1.0, None)


def confidences(
    export: ExportView,
    left: Sequence[TfUnit],
    model: TorchModel,
    pairs: Sequence[UnitPair],
) -> list[Confidence]:
    """Return how sure each pair is.

    The order in which a model defines its modules is only worth something where it is the order of
    the graph's layers throughout.

    Args:
        export: the graph.
        left: all of TensorFlow's units.
        model: the torch side.
        pairs: the counterparts.
    """
    right = model.units
    has_order = model.order_note is None or (
        [coarse_key(unit) for unit in left] == [coarse_torch_key(unit) for unit in right]
    )
    paired = {pair.torch.path for pair in pairs}
    free: dict[Hashable, list[TorchUnit]] = {}
    for unit in right:
        if unit.path not in paired:
            free.setdefault(coarse_torch_key(unit), []).append(unit)
    groups: dict[Hashable, list[int]] = {}
    for index, pair in enumerate(pairs):
        if not pair.given:
            groups.setdefault(pair.group, []).append(index)
    groups = {key: group for key, group in groups.items() if len(group) > 1 or key in free}
    found = [SURE] * len(pairs)
    members = [pairs[index].tf.layer for group in groups.values() for index in group]
    if len(members) > MOST_UNITS:
        return found
    dependencies = Dependencies(export, members)
    for key, group in groups.items():
        own = _of_group(
            [pairs[i] for i in group], free.get(key, []), dependencies if has_order else None
        )
        for index, confidence in own.items():
            found[group[index]] = confidence
    return found


def _of_group(
    pairs: Sequence[UnitPair], free: Sequence[TorchUnit], dependencies: Dependencies | None
) -> dict[int, Confidence]:
    """Compare pairs of equal kind and shape with each other, and with modules that are left."""
    paths = [pair.torch.path for pair in pairs] + [unit.path for unit in free]
    names = NameSimilarity([pair.tf.layer.name for pair in pairs], paths)
    found: dict[int, Confidence] = {}
    for a, pair in enumerate(pairs):
        worst = _of_margin(pair)
        for b in range(max(0, a - _MOST_NEIGHBOURS), min(len(pairs), a + _MOST_NEIGHBOURS + 1)):
            other = pairs[b]
            if a == b or not _may_exchange(pair, other, dependencies):
                continue
            gain = names.of(a, a) + names.of(b, b) - names.of(a, b) - names.of(b, a)
            worst = min(worst, _of_gain(gain, other.torch.path), key=lambda c: c.value)
        if pair.moved or dependencies is None:
            for place in range(len(pairs), len(paths)):
                gain = names.of(a, a) - names.of(a, place)
                worst = min(worst, _of_gain(gain, paths[place]), key=lambda c: c.value)
        found[a] = worst
    return found


def _may_exchange(pair: UnitPair, other: UnitPair, dependencies: Dependencies | None) -> bool:
    """Whether the order does not tell the two apart."""
    if pair.moved or other.moved or dependencies is None:
        return True
    return dependencies.are_apart(pair.tf.layer, other.tf.layer)


def _of_margin(pair: UnitPair) -> Confidence:
    if pair.moved or pair.margin >= CERTAIN:
        return SURE
    return _of_gain(pair.margin, "another place in the order")


def _of_gain(gain: float, rival: str) -> Confidence:
    value = 0.5 + 0.5 * max(-1.0, min(1.0, gain))
    return SURE if value >= 1.0 else Confidence(value, rival)
