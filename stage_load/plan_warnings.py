"""What the user should know of a plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stage_load.draft import Draft
from stage_load.layouts.rule import Kept
from stage_load.mapping import FROM_REFERENCE, Row
from stage_load.pairing import UnitPair
from stage_load.torch_units import TorchModel


def plan_warnings(model: TorchModel, pairs: Sequence[UnitPair], draft: Draft) -> tuple[str, ...]:
    """Return one sentence for each thing to know."""
    return (
        *_order_warnings(model, pairs, draft.rows()),
        *_kind_warnings(pairs),
        *_row_warnings(draft),
        *_decay_warnings(pairs),
        *_group_warnings(pairs),
    )


def _order_warnings(model: TorchModel, pairs: Sequence[UnitPair], rows: Sequence[Row]) -> list[str]:
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
            f"shape, dataflow and names, first {moved[0]!r}."
        )
    decided = [row for row in rows if row.how == FROM_REFERENCE]
    if decided:
        found.append(
            f"{_count(decided, 'tensor')} placed by the reference run, where kind, shape, order "
            f"and names left a choice, first {decided[0].torch_name!r}."
        )
    guessed = sum(pair.tf.is_guessed for pair in pairs)
    if guessed:
        found.append(f"{guessed} of {len(pairs)} layers placed by guessed kinds, without a graph.")
    return found


def _kind_warnings(pairs: Sequence[UnitPair]) -> list[str]:
    written = [p for p in pairs if p.tf.kind != p.tf.layer.kind and not p.tf.is_guessed]
    if not written:
        return []
    first = written[0]
    return [
        f"{_count(written, 'layer')} of another kind that computes the same, first "
        f"{first.torch.path!r}: {first.tf.kind} for {first.tf.layer.kind}."
    ]


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


def _group_warnings(pairs: Sequence[UnitPair]) -> list[str]:
    """Tell of other numbers of groups: the tensors have one shape, so that only the run can."""
    return [
        f"{pair.torch.path!r} has {pair.torch.groups} groups, its counterpart "
        f"{pair.tf.layer.name!r} in the graph {pair.tf.groups}."
        for pair in pairs
        if pair.tf.groups != pair.torch.groups
    ]


def _count(found: Collection[object], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"
