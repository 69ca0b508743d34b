"""Decides which variable fills which tensor of the model, and by which rule. Copies nothing.

The user's rows and the model's own names come first, then equal names of what no known operation
reads, then the alignment of both sides in the order in which they run. The result is checked by
``strict.check_plan`` before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from stage_load.confidence import LEAST, Confidence, confidences
from stage_load.damaged_graph import reading_graph
from stage_load.draft import Draft
from stage_load.export_view import ExportView
from stage_load.folding import Folds, fold
from stage_load.grouping import grouped
from stage_load.layouts.registry import FAMILIES
from stage_load.mapping import FROM_REFERENCE, Given, Row
from stage_load.pairing import UnitPair, pair_units
from stage_load.plan_warnings import plan_warnings
from stage_load.tf_units import OTHER, TfUnit, may_be, tf_units
from stage_load.torch_units import TorchModel, TorchUnit


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """Where a layer runs in the torch model: module and number of the call (from 0)."""

    layer: int
    module: str
    call: int


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A layer whose place in the model is not sure before the reference run.

    Attributes:
        layer: its index.
        name: its name in TensorFlow.
        module: the torch module chosen.
        confidence: 0 to 1.
        rival: what it could be as well.
    """

    layer: int
    name: str
    module: str
    confidence: float
    rival: str


@dataclass(frozen=True)
class Plan:
    """What shall happen, before it is checked.

    Attributes:
        rows: one a tensor, in the order of the model's state dict, skipped variables last.
        conflicts: rows that would fill a tensor which another variable fills already.
        refusals: variable -> why there is no rule for it.
        settings: module path -> attribute -> number to set on it (``eps``, ``momentum``).
        places: layers that have a torch counterpart, in forward order.
        pairs: the counterparts themselves, as they were found.
        open_places: pairs below the confidence ``confidence.LEAST``, in forward order.
        unread: variables that no operation of the inference graph reads, and so stay out.
        warnings: what the user should know.
    """

    rows: tuple[Row, ...]
    conflicts: tuple[Row, ...]
    refusals: Mapping[str, str]
    settings: Mapping[str, Mapping[str, float]]
    places: tuple[LayerPlace, ...]
    pairs: tuple[UnitPair, ...]
    open_places: tuple[OpenPlace, ...]
    unread: tuple[str, ...]
    warnings: tuple[str, ...]


def make_plan(
    export: ExportView,
    model: TorchModel,
    given: Sequence[Given],
    decided: Mapping[int, str] = MappingProxyType({}),
    moved: Container[int] = (),
) -> Plan:
    """Plan the loading of an export into a model.

    Args:
        export: the graph.
        model: the torch side, modules in the order in which they run.
        given: rows decided by the user or the model, checked by whoever read them.
        decided: layer -> path of the module which the reference run found to be its counterpart.
        moved: the layers of them that had another place before.
    """
    draft = Draft(export, model)
    draft.add_given(given)
    draft.add_equal_names()
    with reading_graph("its layers"):
        units = tf_units(export, model.units)
    grouping = grouped(units, model)
    left, model = grouping.units, grouping.model
    fixed = _fixed(left, model.units, draft.rows())
    by_reference = _decided(left, model.units, decided, fixed)
    pairs = pair_units(export, left, model, {**fixed, **by_reference})
    sure = confidences(export, left, model, pairs)
    for pair, confidence in zip(pairs, sure, strict=True):
        how = FROM_REFERENCE if pair.tf.layer.index in moved else None
        for unit, module in grouping.parts(pair.tf, pair.torch):
            draft.add_pair(replace(pair, tf=unit, torch=module), how, confidence.value)
    folds = fold(export, left, model, pairs, draft)
    draft.add_kept_buffers()
    rows = draft.rows()
    return Plan(
        rows=rows,
        conflicts=tuple(draft.conflicts),
        refusals=draft.refusals,
        settings=_settings(pairs),
        places=_places([p for p in pairs if p.torch.path not in grouping.modules], rows, folds),
        pairs=tuple(pairs),
        open_places=_open_places(pairs, sure),
        unread=draft.unread(),
        warnings=(*plan_warnings(model, pairs, draft), *folds.warnings),
    )


def _fixed(
    left: Sequence[TfUnit], right: Sequence[TorchUnit], rows: Sequence[Row]
) -> dict[int, int]:
    """Return the units that a given row ties together: index on the left -> on the right.

    A bias alone may be given to a module of another kind; that ties nothing but the bias.
    """
    owners: dict[str, int] = {}
    for index, unit in enumerate(right):
        for tensor in unit.tensors.values():
            owners.setdefault(tensor.name, index)
    places = {row.tf_name: owners[row.torch_name] for row in rows if row.torch_name and row.tf_name}
    fixed: dict[int, int] = {}
    taken: set[int] = set()
    for index, layer_unit in enumerate(left):
        named = (places[name] for name in layer_unit.layer.variables.values() if name in places)
        found = [place for place in named if may_be(layer_unit, right[place].kind)]
        if found and found[0] not in taken:
            fixed[index] = found[0]
            taken.add(found[0])
    return fixed


def _decided(
    left: Sequence[TfUnit],
    right: Sequence[TorchUnit],
    decided: Mapping[int, str],
    fixed: Mapping[int, int],
) -> dict[int, int]:
    """Return what the reference run decided, as ``_fixed`` does, without what is fixed already."""
    places = {unit.path: index for index, unit in enumerate(right)}
    return {
        index: places[decided[unit.layer.index]]
        for index, unit in enumerate(left)
        if unit.layer.index in decided and index not in fixed
    }


def _open_places(pairs: Sequence[UnitPair], sure: Sequence[Confidence]) -> tuple[OpenPlace, ...]:
    found = [
        OpenPlace(
            pair.tf.layer.index,
            pair.tf.layer.name,
            pair.torch.path,
            confidence.value,
            confidence.rival or "",
        )
        for pair, confidence in zip(pairs, sure, strict=True)
        if confidence.value < LEAST
    ]
    return tuple(sorted(found, key=lambda place: place.layer))


def _settings(pairs: Sequence[UnitPair]) -> dict[str, dict[str, float]]:
    found = {pair.torch.path: settings_of(pair) for pair in pairs}
    return {path: dict(values) for path, values in sorted(found.items()) if values}


def settings_of(pair: UnitPair) -> Mapping[str, float]:
    """Return the numbers that a layer's attributes set on its module, by attribute."""
    family = FAMILIES.get(pair.tf.kind)
    return {} if family is None else family.settings(pair.tf.layer.attributes)


def _places(pairs: Sequence[UnitPair], rows: Sequence[Row], folds: Folds) -> tuple[LayerPlace, ...]:
    """Return where each application runs: the n-th application is the module's n-th call.

    Only where the module holds exactly the layer's variables: one that has its bias elsewhere, or
    somebody else's, returns another tensor than the layer. Of an operation of no known kind, what
    the module computes beside it is not known.
    """
    sources: dict[str | None, set[str]] = {}
    for row in rows:
        sources.setdefault(row.torch_name, set()).update(filter(None, [row.tf_name]))
    places = [
        LayerPlace(layer, pair.torch.path, call)
        for pair in pairs
        if pair.tf.kind != OTHER
        and _variables_in(pair.torch, sources) == set(pair.tf.layer.variables.values())
        for call, layer in enumerate(pair.tf.applications)
    ]
    places += [LayerPlace(layer, path, 0) for layer, path in folds.normed.items()]
    return tuple(sorted(places, key=lambda place: place.layer))


def _variables_in(unit: TorchUnit, sources: Mapping[str | None, set[str]]) -> set[str]:
    return {name for tensor in unit.tensors.values() for name in sources.get(tensor.name, ())}
