"""1-D convolution: ``tf.nn.conv1d`` to ``torch.nn.Conv1d``."""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV1D = Family(
    op_kind="conv1d",
    layouts=(
        Layout("kernel", "weight", source_axes="WIO", target_axes="OIW"),
        *vector_layouts("bias", "bias"),
    ),
)
