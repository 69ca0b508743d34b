"""Depthwise 1-D convolution, as in ``tf.layers.separable_conv1d``, to ``Conv1d(groups=in)``.

As of images, torch numbers the output channels ``c * M + m``: C and M merged, C slowest.
"""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

DEPTHWISE_CONV1D = Family(
    op_kind="depthwise_conv1d",
    layouts=(
        Layout("kernel", "weight", source_axes="WCM", target_axes="(CM)1W"),
        *vector_layouts("bias", "bias"),
    ),
)
