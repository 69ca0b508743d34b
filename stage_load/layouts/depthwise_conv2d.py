"""Depthwise 2-D convolution: ``tf.nn.depthwise_conv2d`` to ``Conv2d(groups=in_channels)``.

TensorFlow keeps the channel multiplier M as an axis of its own; torch numbers the output channels
``c * M + m``, which is the axes C and M merged, C slowest.
"""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

DEPTHWISE_CONV2D = Family(
    op_kind="depthwise_conv2d",
    layouts=(
        Layout("kernel", "weight", source_axes="HWCM", target_axes="(CM)1HW"),
        *vector_layouts("bias", "bias"),
    ),
)
