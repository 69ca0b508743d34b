"""Torch modules for the benchmark checkpoints: `--model benchmarks/models.py:vgg16`.

Each function at the end is a factory without arguments. The parameters are defined in the order in
which TensorFlow made its variables, because the tutorial's script copies by position.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class ConvolutionBlock(nn.Module):
    """Twice 3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width, eps=1e-3)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] -> [batch, width, height, width]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)))


class UpBlock(nn.Module):
    """Nearest x2, 3x3 convolution, concat with the skip, convolution block."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.upconv = nn.Conv2d(channels, width, 3, padding=1)
        self.block = ConvolutionBlock(2 * width, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`skip` has twice the height and width of `x`, and so has the result."""
        x = self.upconv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        up: Tensor = self.block(torch.cat([skip, x], dim=1))
        return up


class PlainUNet(nn.Module):
    """The UNet of `demo/unet_tf1.py` written by hand."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.encoder = nn.ModuleList(map(ConvolutionBlock, inputs, widths))
        self.decoder = nn.ModuleList(UpBlock(2 * width, width) for width in widths[-2::-1])
        self.logits = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, 3, height, width] -> [batch, classes, height, width]."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop())
        logits: Tensor = self.logits(x)
        return logits


class Vgg16(nn.Module):
    """contrib.slim's vgg_16 in inference mode: the fully connected layers are convolutions."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        self.blocks = nn.ModuleList()
        for widths in VGG_BLOCKS:
            layers: list[nn.Module] = []
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.fc8 = nn.Conv2d(4096, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, 3, 224, 224] -> [batch, 1000]."""
        for block in self.blocks:
            x = block(x)
        x = functional.relu(self.fc6(x))
        x = functional.relu(self.fc7(x))
        logits: Tensor = self.fc8(x)
        return logits.flatten(1)


class DenseChain(nn.Module):
    """Square matrices without a bias, one after the other."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, width] -> [batch, width]."""
        for layer in self.layers:
            x = layer(x)
        return x


class DenseSum(nn.Module):
    """Tiny dense layers side by side, their outputs added.

    Attributes:
        tf1_names: TensorFlow name -> torch name and layout rule, for a checkpoint without a graph.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 3) for _ in range(layers))
        self.tf1_names: dict[str, tuple[str, str]] = {}
        for index in range(layers):
            scope, module = f"dense_{index:05}", f"layers.{index}"
            self.tf1_names[f"{scope}/kernel"] = (f"{module}.weight", "IO->OI")
            self.tf1_names[f"{scope}/bias"] = (f"{module}.bias", "as is")

    def forward(self, x: Tensor) -> Tensor:
        """[batch, 2] -> [batch, 3]."""
        return torch.stack([layer(x) for layer in self.layers]).sum(dim=0)


def demo_unet() -> nn.Module:
    """The network of `make demo`."""
    return PlainUNet((12, 24, 48), classes=4)


def unet_34mb() -> nn.Module:
    """Five levels, 8.6 million parameters."""
    return PlainUNet((32, 64, 128, 256, 512), classes=2)


def vgg16() -> nn.Module:
    """138 million parameters in 32 tensors."""
    return Vgg16()


def dense_4gb() -> nn.Module:
    """40 matrices of 100 MB."""
    return DenseChain(layers=40, width=5000)


def tiny_1000() -> nn.Module:
    """1,000 tensors."""
    return DenseSum(layers=500)


def tiny_2000() -> nn.Module:
    """2,000 tensors."""
    return DenseSum(layers=1000)


def tiny_50000() -> nn.Module:
    """50,000 tensors."""
    return DenseSum(layers=25000)
