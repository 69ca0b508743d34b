"""How the layers of a TensorFlow graph feed each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stage_load.dataflow import Dataflow
from stage_load.export_view import ExportView, Node, split_tensor
from stage_load.tf_units import TfUnit

_JOINS = frozenset({"Concat", "ConcatV2", "Pack"})


def tf_dataflow(export: ExportView, units: Sequence[TfUnit]) -> Dataflow:
    """Return the dataflow between units, each named by the index of its first layer."""
    flow = Dataflow()
    owners = {
        export.layers[index].output: unit.layer.index
        for unit in units
        for index in unit.applications
    }
    fed = {endpoint.tensor for endpoint in export.inputs}
    found: dict[str, int] = {}
    for node in export.nodes.values():
        reached = _reached(flow, node, found)
        for index in range(len(node.shapes or ()) or 1):
            tensor = node.output(index)
            own = owners.get(tensor)
            if own is not None:
                found[tensor] = flow.unit(own)
            elif tensor in fed:
                found[tensor] = flow.network_input()
            elif reached is not None:
                found[tensor] = reached
    for unit in units:
        layer_input = unit.layer.input
        if layer_input is not None and layer_input in found:
            flow.reaches[unit.layer.index] = found[layer_input]
    return flow


def _reached(flow: Dataflow, node: Node, found: dict[str, int]) -> int | None:
    parts = [found[name] for name in _named(node.inputs) if name in found]
    return flow.join(parts) if node.op in _JOINS else flow.mix(parts)


def _named(tensors: Iterable[str]) -> Iterable[str]:
    for tensor in tensors:
        name, index = split_tensor(tensor)
        yield f"{name}:{index}"
