"""Tells which layers of a graph run side by side: neither reads what the other computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


class Dependencies:
    """Which of some layers depend on which.

    Args:
        export: the graph.
        layers: the layers to compare.
    """

    def __init__(self, export: ExportView, layers: Iterable[Layer]) -> None:
        self._bits: dict[str, int] = {}
        for layer in layers:
            if layer.op in export.nodes:
                self._bits.setdefault(str(layer.op), 1 << len(self._bits))
        self._before: dict[str, int] = {}
        reached: dict[str, int] = {}
        for node in export.nodes.values():
            before = 0
            for tensor in node.inputs:
                before |= reached.get(split_tensor(tensor)[0], 0)
            own = self._bits.get(node.name, 0)
            if own:
                self._before[node.name] = before
            if before | own:
                reached[node.name] = before | own

    def are_apart(self, one: Layer, other: Layer) -> bool:
        """Whether neither depends on the other; true where no graph tells."""
        a, b = str(one.op), str(other.op)
        if a not in self._bits or b not in self._bits:
            return True
        return not (self._before[a] & self._bits[b] or self._before[b] & self._bits[a])
