"""Dense layers behind a flatten in another order."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import nn

from stage_load.causes.cause import Suspect
from stage_load.causes.graph_input import input_before_padding
from stage_load.verdict import Cause


def order_cause(suspect: Suspect) -> Cause | None:
    """Compute a dense layer on its input in the other order."""
    module = suspect.module
    if not isinstance(module, nn.Linear):
        return None
    sizes = _flattened_sizes(suspect)
    given = suspect.given
    if sizes is None or given.dim() != 2 or given.shape[1] != math.prod(sizes):
        return None
    height, width, channels = sizes
    from_tf = given.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    from_torch = given.reshape(-1, channels, height, width).permute(0, 2, 3, 1)
    # Where the graph's flatten was recognised, the rows have been put in torch's order.
    reordered = bool(suspect.layer.attributes.get("flatten"))
    moved, told = (from_tf, "H, W, C") if reordered else (from_torch, "C, H, W")
    if not suspect.agrees(F.linear(moved.reshape(given.shape), module.weight, module.bias)):
        return None
    wanted = "C, H, W" if reordered else "H, W, C"
    text = (
        f"the module flattens [{height}, {width}, {channels}] in the order {told}, its weight's "
        f"columns are in the order {wanted}"
    )
    remedy = (
        "Flatten [N, C, H, W] as it is, without a permute"
        if reordered
        else "Flatten x.permute(0, 2, 3, 1)"
    )
    return Cause("flatten order", suspect.path, text, remedy, True)


def _flattened_sizes(suspect: Suspect) -> tuple[int, int, int] | None:
    """Return height, width and channels of the image that was flattened before the layer."""
    view = suspect.export.view
    flatten = suspect.layer.attributes.get("flatten")
    shape = flatten["shape"] if flatten else None
    tensor, _ = input_before_padding(view, suspect.layer)
    if shape is None and tensor is not None:
        node = view.nodes.get(tensor.rpartition(":")[0])
        if node is not None and node.op == "Reshape":
            shape = view.shape(view.source(node.inputs[0]))
    if shape is None or len(shape) != 4 or None in shape[1:]:
        return None
    return int(shape[1]), int(shape[2]), int(shape[3])
