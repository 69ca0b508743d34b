"""Transposed 2-D convolution: ``tf.nn.conv2d_transpose`` to ``torch.nn.ConvTranspose2d``.

TensorFlow keeps the kernel of the convolution whose gradient this is, so its O (the channels that
come out of the transposed convolution) stands before I.
"""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV2D_TRANSPOSE = Family(
    op_kind="conv2d_transpose",
    layouts=(
        Layout("kernel", "weight", source_axes="HWOI", target_axes="IOHW"),
        *vector_layouts("bias", "bias"),
    ),
)
