"""Matrix product: ``tf.matmul(x, kernel)`` to ``torch.nn.Linear``.

After a flatten of an NHWC tensor the rows of the kernel run over H, W, C. A torch model flattens
NCHW, so its columns must run over C, H, W.

Projections into and out of the heads of an attention have heads N and units K as axes of their own;
torch joins them, units fastest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stage_load.layouts.family import Family, Layout, vector_layouts
from stage_load.layouts.rule import Rule

# What a flattened tensor may be; with channels first the rows are in torch's order already. A
# sequence (N, T, D) keeps its axes in torch: only what a convolution has made is called NWC.
_CHANNELS_LAST = frozenset({"NWC", "NHWC", "NDHWC"})


def refine(role: str, rule: Rule, attributes: Mapping[str, Any]) -> Rule:
    """Split the input axis of a kernel that follows a flatten of a channels-last tensor.

    Args:
        role: only ``"kernel"`` is touched.
        rule: ``IO->OI`` or ``OI->OI``.
        attributes: the layer's; ``flatten`` holds the shape ``[batch, H, W, C]`` before it,
            of rank 3 to 5.
    """
    flatten = attributes.get("flatten")
    if role != "kernel" or not flatten or flatten.get("data_format") not in _CHANNELS_LAST:
        return rule
    data_format: str = flatten["data_format"]
    shape = flatten.get("shape") or []
    if len(shape) != len(data_format):
        return rule
    letters = data_format[1:]
    sizes = tuple(
        (letter, size) for letter, size in zip(letters, shape[1:], strict=True) if size is not None
    )
    channels_first = letters[-1] + letters[:-1]
    return Rule(
        rule.source.replace("I", f"({letters})"),
        rule.target.replace("I", f"({channels_first})"),
        sizes,
    )


DENSE = Family(
    op_kind="dense",
    layouts=(
        Layout("kernel", "weight", source_axes="IO", target_axes="OI"),
        Layout("kernel", "weight", source_axes="OI", target_axes="OI"),
        Layout("kernel", "weight", source_axes="INK", target_axes="(NK)I"),
        Layout("kernel", "weight", source_axes="NIK", target_axes="(NK)I"),
        Layout("kernel", "weight", source_axes="NKO", target_axes="O(NK)"),
        *vector_layouts("bias", "bias"),
        Layout("bias", "bias", source_axes="NK", target_axes="(NK)"),
    ),
    refine=refine,
)
