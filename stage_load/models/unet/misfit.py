"""The refusal of a graph: always by its first op that no UNet of this family has."""

from __future__ import annotations

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import Node

FAMILY = (
    "convolutions with optional batch norm, activation and dropout; max or average pooling or a "
    "strided convolution after each encoder block, whose map before the pooling is the skip; "
    "up-sampling by a resize or a transposed convolution, then one concat with the skip; "
    "a convolution at the end"
)
REMEDY = (
    "Export it with the command 'extract' to look at its graph, or write the network in torch and "
    "pass '--model file.py:Factory'."
)


ENDS_EARLIER = "If the network ends before that op, name its last tensor by '--outputs {}'. "
STARTS_LATER = (
    "If that op only prepares the image, name what the first convolution reads by '--inputs {}'. "
)


def misfit(node: Node, what: str, expected: str) -> ModelDoesNotFit:
    """Return the error that names ``node``, what it does, and what a UNet has there."""
    return ModelDoesNotFit(
        "This graph is no UNet that this release knows: its first op that does not fit is "
        f"'{node.name}' ({node.op}), which {what}.",
        f"Expected there: {expected}.",
        REMEDY,
    )


def with_hint(error: ModelDoesNotFit, hint: str) -> ModelDoesNotFit:
    """Return the same refusal with another way out before the usual ones."""
    return ModelDoesNotFit(error.happened, error.expected, hint + error.remedy)
