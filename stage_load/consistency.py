"""Checks that the parts of ``graph.json`` speak of each other rightly, which no schema can say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stage_load.contract import GRAPH_FILE
from stage_load.errors import ExportDamaged
from stage_load.export_view import PASS_THROUGH_OPS, ExportView, Layer, split_tensor


def check_consistency(view: ExportView, variables: int, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Check every name and number by which one part refers to another.

    Args:
        view: of the graph.
        variables: how many the file lists.
        nodes: as the file lists them.

    Raises:
        ExportDamaged: a name comes twice or is of nothing, a layer has another's number, or nodes
            that only hand tensors on feed each other.
    """
    if variables != len(view.variables):
        raise _damaged("names a variable twice")
    _check_layers(view)
    _check_nodes(nodes)


def _check_layers(view: ExportView) -> None:
    for position, layer in enumerate(view.layers):
        if layer.index != position:
            raise _damaged(f"numbers its layer {position} ({layer.name}) {layer.index}")
        _check_names(layer, view)
    numbers = [number for known in view.variables.values() for number in known.layers]
    numbers += [entry["layer"] for entry in view.reference["layers"]]
    odd = next((number for number in numbers if not 0 <= number < len(view.layers)), None)
    if odd is not None:
        raise _damaged(f"speaks of a layer {odd}, and has {len(view.layers)}")


def _check_names(layer: Layer, view: ExportView) -> None:
    for name in layer.variables.values():
        if name not in view.variables:
            raise _damaged(f"has no variable {name!r}, which its layer {layer.name!r} reads")


def _check_nodes(nodes: Sequence[Mapping[str, Any]]) -> None:
    by_name = {node["name"]: node for node in nodes}
    if len(by_name) != len(nodes):
        raise _damaged("names a node twice")
    for node in nodes:
        for tensor in node["inputs"]:
            name, index = split_tensor(tensor)
            if name not in by_name:
                raise _damaged(f"has no node {name!r}, which its node {node['name']!r} reads")
            source = by_name[name]
            if source["op"] == "IdentityN" and index >= len(source["inputs"]):
                raise _damaged(f"has no tensor {tensor!r}, which its node {node['name']!r} reads")
    _check_ends(by_name, (node["name"] for node in nodes if _hands_on(node)))


def _check_ends(by_name: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> None:
    """Check that what is handed on comes from somewhere."""
    ending: set[str] = set()
    for start in names:
        waiting = [start]
        on_the_way: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in on_the_way:
                on_the_way.discard(name)
                ending.add(name)
                continue
            if name in ending or not _hands_on(by_name[name]):
                continue
            on_the_way.add(name)
            waiting.append(name)
            following = [split_tensor(tensor)[0] for tensor in by_name[name]["inputs"]]
            if on_the_way & set(following):
                raise _damaged(f"has a node {name!r} that hands on what it is given by itself")
            waiting += following


def _hands_on(node: Mapping[str, Any]) -> bool:
    return node["op"] in PASS_THROUGH_OPS and bool(node["inputs"])


def _damaged(what: str) -> ExportDamaged:
    return ExportDamaged(
        f"{GRAPH_FILE} {what}.",
        "Expected names and numbers that lead to each other.",
        "Extract the checkpoint again; the file was changed, or written by another program.",
    )
