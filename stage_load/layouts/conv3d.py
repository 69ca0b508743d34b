"""3-D convolution: ``tf.nn.conv3d`` to ``torch.nn.Conv3d``."""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV3D = Family(
    op_kind="conv3d",
    layouts=(
        Layout("kernel", "weight", source_axes="DHWIO", target_axes="OIDHW"),
        *vector_layouts("bias", "bias"),
    ),
)
