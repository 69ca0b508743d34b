"""Tells which layers of a graph run side by side: none of them reads what another computes."""

from __future__ import annotations

from collections.abc import Sequence

from stage_load.export_view import ExportView, Layer, split_tensor


def run_side_by_side(export: ExportView, layers: Sequence[Layer]) -> bool:
    """Whether no layer's input depends on another of these layers; false where no graph tells."""
    own = {layer.op for layer in layers}
    if None in own or not own <= export.nodes.keys():
        return False
    after: set[str] = set()
    for node in export.nodes.values():
        before = (split_tensor(tensor)[0] for tensor in node.inputs)
        if any(name in own or name in after for name in before):
            if node.name in own:
                return False
            after.add(node.name)
    return True
