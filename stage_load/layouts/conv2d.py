"""2-D convolution: ``tf.nn.conv2d`` to ``torch.nn.Conv2d``."""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV2D = Family(
    op_kind="conv2d",
    layouts=(
        Layout("kernel", "weight", source_axes="HWIO", target_axes="OIHW"),
        *vector_layouts("bias", "bias"),
    ),
)
