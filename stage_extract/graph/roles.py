"""What each variable is to the layers: the table `variables` of the export."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from stage_extract.graph.entries import LazyEntries
from stage_extract.graph.folding import Folded
from stage_extract.graph.layers.layer import Layer
from stage_extract.graph.variables import VariableTable
from stage_extract.reader import VariableInfo

# The order of the parts of one layer, in `order` and wherever they are listed.
ROLES = (
    "kernel", "recurrent_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance",
    "embedding", "gate_kernel", "gate_bias", "candidate_kernel", "candidate_bias",
    "candidate_input_kernel", "candidate_input_bias", "candidate_recurrent_kernel",
    "candidate_recurrent_bias", "peephole_input", "peephole_forget", "peephole_output",
    "projection", "alpha",
)  # fmt: skip


class VariableUse(NamedTuple):
    """One layer's use of one variable."""

    layer: int
    role: Optional[str]
    kind: str
    axes: Optional[str]


def describe_variables(
    variables: Sequence[VariableInfo],
    layers: Sequence[Layer],
    table: Optional[VariableTable],
    folded: Sequence[Folded] = (),
    aside: Mapping[str, str] = MappingProxyType({}),
) -> LazyEntries:
    """Give the contract's `variables`, sorted by name.

    Args:
        table: None if there is no graph; the layers are guesses then.
        folded: kernels that are computed from variables, listed like them.
        aside: variable -> why it was left aside for another one.
    """
    computed = {one.info.name: one for one in folded}
    why_left = {
        **aside,
        **{
            name: f"folded into '{one.info.name}', which a layer reads"
            for one in folded
            for name in one.sources
        },
    }
    uses = _uses_by_variable(layers)
    order = {name: place for place, name in enumerate(uses)} if table is not None else {}
    evidence = "graph" if table is not None else "guessed"

    def entry(_: int, info: VariableInfo) -> Dict[str, Any]:
        mine = uses.get(info.name, [])
        partitions = table.partitions(info.name) if table is not None else None
        first = next((use for use in mine if use.role is not None), None)
        own = computed.get(info.name)
        more: Dict[str, Any] = {}
        if own is not None:
            more = {"computed_from": list(own.sources), "why": own.why}
        if info.key is not None:
            more["key"] = info.key
        left = why_left.get(info.name) if not mine else None
        return {
            "name": info.name,
            "dtype": info.dtype,
            "shape": list(info.shape),
            "role": first.role if first is not None else None,
            "op_kind": first.kind if first is not None else (mine[0].kind if mine else None),
            "source_axes": first.axes if first is not None else None,
            "layers": sorted({use.layer for use in mine}),
            "order": order.get(info.name),
            "trainable": table.trainable(info.name) if table is not None else None,
            "partitions": None
            if partitions is None
            else {"axis": partitions.axis, "names": list(partitions.names)},
            "evidence": evidence if mine else None,
            "reason": left or _reason(info, mine, first, layers, table),
            **more,
        }

    every = [*variables, *(one.info for one in folded)]
    return LazyEntries(sorted(every, key=lambda one: one.name), entry)


def _uses_by_variable(layers: Sequence[Layer]) -> Dict[str, List[VariableUse]]:
    """Give the uses of each variable, the variables in the order in which layers meet them."""
    uses: Dict[str, List[VariableUse]] = {}
    for index, layer in enumerate(layers):
        names = sorted(layer.variables, key=_role_order)
        for key in names:
            variable = layer.variables[key]
            role = key if key in ROLES else None
            use = VariableUse(index, role, layer.kind, layer.axes.get(variable))
            uses.setdefault(variable, []).append(use)
    return uses


def _role_order(key: str) -> Any:
    return (ROLES.index(key), "") if key in ROLES else (len(ROLES), key)


def _reason(
    info: VariableInfo,
    mine: Sequence[VariableUse],
    first: Optional[VariableUse],
    layers: Sequence[Layer],
    table: Optional[VariableTable],
) -> Optional[str]:
    if not mine:
        if table is None:
            return "no graph, and its name and shape fit no layer"
        if not table.nodes_of(info.name):
            return "the graph has no variable of this name"
        return "the inference graph does not read it"
    if first is None:
        return layers[mine[0].layer].reason
    others = {(use.role, use.kind, use.axes) for use in mine} - {first[1:]}
    if others:
        kinds = ", ".join(sorted(kind for _, kind, _ in others))
        return f"other layers read it in another way: {kinds}"
    return None
