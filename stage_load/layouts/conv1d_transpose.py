"""Transposed 1-D convolution: ``tf.nn.conv1d_transpose`` to ``torch.nn.ConvTranspose1d``.

As of images, TensorFlow keeps the kernel of the convolution whose gradient this is: O before I.
"""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV1D_TRANSPOSE = Family(
    op_kind="conv1d_transpose",
    layouts=(
        Layout("kernel", "weight", source_axes="WOI", target_axes="IOW"),
        *vector_layouts("bias", "bias"),
    ),
)
