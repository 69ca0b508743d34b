"""Decides which variable fills which tensor of the model, and by which rule. Copies nothing.

The user's rows and the model's own names come first, then equal names of what no known operation
reads, then the alignment of both sides in the order in which they run. The result is checked by
``strict.check_plan`` before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stage_load.draft import Draft
from stage_load.export_view import ExportView
from stage_load.layouts import batch_norm
from stage_load.layouts.rule import Kept
from stage_load.mapping import Given, Row
from stage_load.pairing import UnitPair, pair_units
from stage_load.tf_units import OTHER, TfUnit, may_be, tf_units
from stage_load.torch_units import TorchModel, TorchUnit


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """Where a layer runs in the torch model: module and number of the call (from 0)."""

    layer: int
    module: str
    call: int


@dataclass(frozen=True)
class Plan:
    """What shall happen, before it is checked.

    Attributes:
        rows: one a tensor, in the order of the model's state dict, skipped variables last.
        conflicts: rows that would fill a tensor which another variable fills already.
        refusals: variable -> why there is no rule for it.
        settings: module path -> attribute -> number to set on it (``eps``, ``momentum``).
        places: layers that have a torch counterpart, in forward order.
        unread: variables that no operation of the inference graph reads, and so stay out.
        warnings: what the user should know.
    """

    rows: tuple[Row, ...]
    conflicts: tuple[Row, ...]
    refusals: Mapping[str, str]
    settings: Mapping[str, Mapping[str, float]]
    places: tuple[LayerPlace, ...]
    unread: tuple[str, ...]
    warnings: tuple[str, ...]


def make_plan(export: ExportView, model: TorchModel, given: Sequence[Given]) -> Plan:
    """Plan the loading of an export into a model.

    Args:
        export: the graph.
        model: the torch side, modules in the order in which they run.
        given: rows decided by the user or the model, checked by whoever read them.
    """
    draft = Draft(export, model)
    draft.add_given(given)
    draft.add_equal_names()
    left = tf_units(export)
    pairs = pair_units(export, left, model.units, _fixed(left, model.units, draft.rows()))
    for pair in pairs:
        draft.add_pair(pair)
    draft.add_kept_buffers()
    rows = draft.rows()
    return Plan(
        rows=rows,
        conflicts=tuple(draft.conflicts),
        refusals=draft.refusals,
        settings=_settings(pairs),
        places=_places(pairs, rows),
        unread=draft.unread(),
        warnings=(*_order_warnings(model, pairs), *_row_warnings(draft), *_decay_warnings(pairs)),
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


def _settings(pairs: Sequence[UnitPair]) -> dict[str, dict[str, float]]:
    found = {
        pair.torch.path: batch_norm.settings(pair.tf.layer.attributes)
        for pair in pairs
        if pair.tf.kind == "batch_norm"
    }
    return {path: values for path, values in sorted(found.items()) if values}


def _places(pairs: Sequence[UnitPair], rows: Sequence[Row]) -> tuple[LayerPlace, ...]:
    """Return where each application runs: the n-th application is the module's n-th call.

    Only where the module holds exactly the layer's variables: one that has its bias elsewhere, or
    somebody else's, returns another tensor than the layer. Of an operation of no known kind, what
    the module computes beside it is not known.
    """
    sources = {row.torch_name: row.tf_name for row in rows}
    places = [
        LayerPlace(layer, pair.torch.path, call)
        for pair in pairs
        if pair.tf.kind != OTHER
        and _variables_in(pair.torch, sources) == set(pair.tf.layer.variables.values())
        for call, layer in enumerate(pair.tf.applications)
    ]
    return tuple(sorted(places, key=lambda place: place.layer))


def _variables_in(unit: TorchUnit, sources: Mapping[str | None, str | None]) -> set[str]:
    found = (sources.get(tensor.name) for tensor in unit.tensors.values())
    return {name for name in found if name is not None}


def _order_warnings(model: TorchModel, pairs: Sequence[UnitPair]) -> list[str]:
    found = []
    if model.order_note is not None and len(model.units) > 1:
        found.append(
            f"The model was not run to find the order of its modules ({model.order_note}); "
            "the order of their definition was taken."
        )
    moved = [pair.torch.path for pair in pairs if pair.moved]
    if moved:
        found.append(
            f"{_count(moved, 'module')} in another order than in TensorFlow, matched by kind, "
            f"shape and name, first {moved[0]!r}."
        )
    guessed = sum(pair.tf.is_guessed for pair in pairs)
    if guessed:
        found.append(f"{guessed} of {len(pairs)} layers placed by guessed kinds, without a graph.")
    return found


def _row_warnings(draft: Draft) -> list[str]:
    found = []
    if draft.without_gamma:
        found.append(
            f"{_count(draft.without_gamma, 'batch norm')} without gamma (scale=False): the weight "
            f"is the graph's constant, first {draft.without_gamma[0]!r}."
        )
    kept = sorted(name for name, row in draft.filled.items() if isinstance(row.rule, Kept))
    if kept:
        found.append(
            f"{_count(kept, 'buffer')} without a variable, kept as the model's constructor made "
            f"it, first {kept[0]!r}."
        )
    return found


def _decay_warnings(pairs: Sequence[UnitPair]) -> list[str]:
    silent = [
        pair
        for pair in pairs
        if pair.tf.kind == "batch_norm" and pair.tf.layer.attributes.get("decay") is None
    ]
    if not silent:
        return []
    reason = silent[0].tf.layer.attributes.get("decay_reason") or "the graph does not tell"
    return [
        f"{_count(silent, 'batch norm')} without a known decay ({reason}): the momentum is torch's "
        f"default, first {silent[0].torch.path!r}."
    ]


def _count(found: Collection[object], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"
