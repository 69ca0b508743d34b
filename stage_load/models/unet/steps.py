"""The steps that the blocks of a UNet are made of, as frozen data.

A block is a tuple of steps in the order in which they are applied, so that convolution - batch
norm - ReLU, convolution - ReLU - batch norm, and a dropout anywhere between are told apart without
further switches.

Sizes are (height, width). ``padding`` has TensorFlow's meaning: ``"SAME"`` gives ceil(size /
stride) and, where the padding is odd, one more row and column at the end; ``"VALID"`` pads nothing
(https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/nn#notes_on_padding_2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

Pair = tuple[int, int]
# ((top, bottom), (left, right))
Margins = tuple[Pair, Pair]
# One number for all channels, or one for each.
PerChannel = float | tuple[float, ...]
Padding = Literal["SAME", "VALID"]

# tf.layers.batch_normalization: epsilon 1e-3, momentum (decay) 0.99; torch's momentum is 1 -
# decay.
TF1_BATCH_NORM_EPSILON = 1e-3
TF1_BATCH_NORM_MOMENTUM = 0.01
# tf.nn.leaky_relu's default, tensorflow/python/ops/nn_ops.py.
TF1_LEAKY_RELU_ALPHA = 0.2


@dataclass(frozen=True)
class Convolution:
    """A convolution, its bias included. With a stride above 1 it can stand for a pooling."""

    kind: ClassVar[str] = "convolution"

    out_channels: int
    kernel_size: Pair = (3, 3)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "SAME"
    bias: bool = True


@dataclass(frozen=True)
class DepthwiseConvolution:
    """A convolution of each channel by itself, with ``multiplier`` results a channel.

    A separable convolution is one of these and a plain convolution of kernel 1.
    """

    kind: ClassVar[str] = "depthwise_convolution"

    multiplier: int = 1
    kernel_size: Pair = (3, 3)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "SAME"
    bias: bool = False


@dataclass(frozen=True)
class TransposedConvolution:
    """A strided transposed convolution, its bias included.

    ``output_size`` says how large the result is, which TensorFlow leaves to the graph:
    ``"stride"`` is size * stride for SAME and size * stride + max(kernel - stride, 0) for VALID,
    ``"skip"`` the skip's size.
    """

    kind: ClassVar[str] = "transposed_convolution"

    out_channels: int
    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = "SAME"
    bias: bool = True
    output_size: Literal["stride", "skip"] = "stride"


@dataclass(frozen=True)
class Resize:
    """An image resize as TensorFlow 1 computes it; ``factor`` None means to the skip's size."""

    kind: ClassVar[str] = "resize"

    method: Literal["nearest", "bilinear"] = "nearest"
    factor: Pair | None = (2, 2)
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class DepthToSpace:
    """Channels laid out as pixels: [N, C * block**2, H, W] -> [N, C, H * block, W * block]."""

    kind: ClassVar[str] = "depth_to_space"

    block_size: int = 2


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization; ``momentum`` is torch's, 1 - TensorFlow's decay.

    With ``statistics`` "batch", mean and variance are those of the batch, in eval mode too.
    """

    kind: ClassVar[str] = "batch_norm"

    epsilon: float = TF1_BATCH_NORM_EPSILON
    momentum: float = TF1_BATCH_NORM_MOMENTUM
    affine: bool = True
    statistics: Literal["moving", "batch"] = "moving"


@dataclass(frozen=True)
class Activation:
    """A pointwise function, or softmax over the channels; ``alpha`` is the slope below zero."""

    kind: ClassVar[str] = "activation"

    name: str = "relu"
    alpha: float | None = None


@dataclass(frozen=True)
class Dropout:
    """Dropout of single elements, which does nothing in eval mode."""

    kind: ClassVar[str] = "dropout"

    probability: float = 0.5


@dataclass(frozen=True)
class Bias:
    """A number added to each channel, where it does not directly follow its convolution."""

    kind: ClassVar[str] = "bias"


@dataclass(frozen=True)
class Rescale:
    """value * scale + offset, of all channels or (tuples) of each: pixel values to [-1, 1], say."""

    kind: ClassVar[str] = "rescale"

    scale: PerChannel = 1.0
    offset: PerChannel = 0.0


@dataclass(frozen=True)
class Clamp:
    """The nearest number between ``low`` and ``high``; None is no bound on that side."""

    kind: ClassVar[str] = "clamp"

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Pad:
    """Rows and columns added around the map before an unpadded convolution."""

    kind: ClassVar[str] = "pad"

    margins: Margins
    mode: Literal["constant", "reflect"] = "constant"
    value: float = 0.0


@dataclass(frozen=True)
class Pool:
    """Max or average pooling. SAME average pooling leaves the padding out of the count."""

    kind: ClassVar[str] = "pool"

    method: Literal["max", "average"] = "max"
    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = "SAME"


@dataclass(frozen=True)
class Crop:
    """What is cut from the skip: ``margins`` rows and columns, or None for the middle of it."""

    kind: ClassVar[str] = "crop"

    margins: Margins | None = None


Step = (
    Convolution
    | DepthwiseConvolution
    | TransposedConvolution
    | Resize
    | DepthToSpace
    | BatchNorm
    | Activation
    | Dropout
    | Bias
    | Rescale
    | Clamp
    | Pad
    | Pool
    | Crop
)
Steps = tuple[Step, ...]

STEPS: Mapping[str, type[Step]] = MappingProxyType(
    {
        step.kind: step
        for step in (
            Convolution,
            DepthwiseConvolution,
            TransposedConvolution,
            Resize,
            DepthToSpace,
            BatchNorm,
            Activation,
            Dropout,
            Bias,
            Rescale,
            Clamp,
            Pad,
            Pool,
            Crop,
        )
    }
)


def channels_after(steps: Steps, channels: int) -> int:
    """Return how many channels ``steps`` give out when ``channels`` come in."""
    for step in steps:
        if isinstance(step, Convolution | TransposedConvolution):
            channels = step.out_channels
        elif isinstance(step, DepthwiseConvolution):
            channels *= step.multiplier
        elif isinstance(step, DepthToSpace):
            channels //= step.block_size**2
    return channels
