"""Torch modules that pad, stride and resize as TensorFlow 1 does, for networks ported by hand.

They need nothing but torch, and their state dict is that of the torch module they derive from.
"""

from stage_load.modules.avg_pool2d import SamePadAvgPool2d
from stage_load.modules.conv import SamePadConv1d, SamePadConv2d, SamePadConv3d
from stage_load.modules.conv_transpose2d import SamePadConvTranspose2d
from stage_load.modules.max_pool2d import SamePadMaxPool2d
from stage_load.modules.padding import pad_same, same_padding
from stage_load.modules.resize import TF1Resize

__all__ = [
    "SamePadAvgPool2d",
    "SamePadConv1d",
    "SamePadConv2d",
    "SamePadConv3d",
    "SamePadConvTranspose2d",
    "SamePadMaxPool2d",
    "TF1Resize",
    "pad_same",
    "same_padding",
]
