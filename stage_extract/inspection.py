"""What `inspect` shows of a checkpoint, as data; the host makes the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence

from stage_extract.dtypes import BY_NAME
from stage_extract.graph.describe import Description
from stage_extract.selecting.selection import Skipped
from stage_extract.storage.slices import count_elements

# Parts of graph.json that are shown as they are.
_SHOWN_AS_IS = (
    "source",
    "inputs",
    "outputs",
    "candidates",
    "switches",
    "rewrites",
)
# Nodes that compute nothing of the model.
_SILENT_OPS = frozenset(("Const", "Identity", "NoOp"))


def inspect(
    checkpoint: Mapping[str, Any], description: Description, skipped: Sequence[Skipped]
) -> Dict[str, Any]:
    """Put together what a person wants to know of a checkpoint.

    Args:
        checkpoint: {"prefix": base name, "step": training step or None}.
        description: the described graph and variables.
        skipped: what an export would leave out.

    Returns:
        The parts of graph.json without its nodes, and beside them "checkpoint"; "totals" of the
        exported variables (numbers of tensors and elements, bytes) and of the skipped ones;
        "missing", only if the graph reads variables that the checkpoint lacks; "operations", how
        often each op type occurs in the inference graph, the commonest first; and "warnings".
        Variables and skipped tensors carry "size_bytes" (None for strings).
    """
    document = description.to_json()
    variables = [_with_size(entry) for entry in document["variables"]]
    left_out = [_with_size(entry.to_json()) for entry in skipped]
    return {
        "checkpoint": dict(checkpoint),
        **{key: document[key] for key in _SHOWN_AS_IS},
        **({"missing": document["missing"]} if "missing" in document else {}),
        "layers": list(document["layers"]),
        "variables": variables,
        "skipped": left_out,
        "totals": {"variables": _totals(variables), "skipped": _totals(left_out)},
        "operations": _operations(document["nodes"]),
        "warnings": list(description.warnings),
    }


def _with_size(entry: Mapping[str, Any]) -> Dict[str, Any]:
    return {**entry, "size_bytes": _size_bytes(entry["dtype"], entry["shape"])}


def _size_bytes(dtype: str, shape: Sequence[int]) -> Optional[int]:
    element = BY_NAME.get(dtype)
    if element is None or element.size_bytes is None:
        return None
    return count_elements(shape) * element.size_bytes


def _totals(entries: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
    return {
        "tensors": len(entries),
        "elements": sum(count_elements(entry["shape"]) for entry in entries),
        "size_bytes": sum(entry["size_bytes"] or 0 for entry in entries),
    }


def _operations(nodes: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    counts = Counter(node["op"] for node in nodes if node["op"] not in _SILENT_OPS)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"op": op, "count": count} for op, count in ordered]
