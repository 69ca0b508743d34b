"""Transposed 3-D convolution: ``tf.nn.conv3d_transpose`` to ``torch.nn.ConvTranspose3d``.

As of images, TensorFlow keeps the kernel of the convolution whose gradient this is: O before I.
"""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout, vector_layouts

CONV3D_TRANSPOSE = Family(
    op_kind="conv3d_transpose",
    layouts=(
        Layout("kernel", "weight", source_axes="DHWOI", target_axes="IODHW"),
        *vector_layouts("bias", "bias"),
    ),
)
