"""The UNet itself: encoder, bottleneck, decoder with skips, head. All tensors are NCHW."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.step_modules import build_step
from stage_load.models.unet.steps import Steps, channels_after
from stage_load.models.unet.tensorflow_layers import BatchStatisticsNorm2d, crop_to


def build_block(steps: Steps, channels: int) -> nn.Sequential:
    """Build steps as one block, each named by what it is: ``convolution_1``, ``batch_norm_1``, …"""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    count: Counter[str] = Counter()
    for step in steps:
        count[step.kind] += 1
        modules[f"{step.kind}_{count[step.kind]}"] = build_step(step, channels)
        channels = channels_after((step,), channels)
    return nn.Sequential(modules)


class Encoder(nn.Module):
    """One level on the way down: [N, in, H, W] -> (the map below [N, out, h, w], the skip)."""

    def __init__(self, level: EncoderLevel, in_channels: int) -> None:
        super().__init__()
        channels = channels_after(level.block, in_channels)
        self.block = build_block(level.block, in_channels)
        self.skip = build_block(level.skip, channels)
        self.down = build_block(level.down, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the next level takes, and this level's skip."""
        x = self.block(x)
        return self.down(x), self.skip(x)


class Decoder(nn.Module):
    """One level on the way up: ([N, in, h, w], skip [N, side, H, W]) -> [N, out, H, W]."""

    def __init__(self, level: DecoderLevel, in_channels: int, skip_channels: int) -> None:
        super().__init__()
        self.up = build_block(level.up, in_channels)
        merged = channels_after(level.up, in_channels) + skip_channels
        self.block = build_block(level.block, merged)
        self.joins_skip = level.skip_first is not None
        self.skip_first = level.skip_first
        self.crops_skip = level.crop is not None
        self.crop_margins = None if level.crop is None else level.crop.margins

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Up-sample ``x``, put the skip beside it if this level has one, apply the block.

        Raises:
            ValueError: the two maps differ in size, so the image's size does not suit the network.
        """
        size = list(skip.shape[2:])
        for module in self.up:
            x = module(x, size) if getattr(module, "takes_skip_size", False) else module(x)
        if not self.joins_skip:
            alone: Tensor = self.block(x)
            return alone
        if self.crops_skip:
            skip = crop_to(skip, (x.shape[2], x.shape[3]), self.crop_margins)
        if skip.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"The skip is {tuple(skip.shape[2:])} and the up-sampled map {tuple(x.shape[2:])} "
                "(height, width): the image's size must divide evenly at every pooling. "
                "Pad or resize the image."
            )
        result: Tensor = self.block(torch.cat([skip, x] if self.skip_first else [x, skip], dim=1))
        return result


class UNet(nn.Module):
    """A UNet as its configuration says: image [N, in_channels, H, W] -> [N, classes, H', W'].

    H' and W' are the image's sizes with SAME padding, less with VALID. Modules run in the order of
    TensorFlow's forward pass. Build one without a checkpoint by ``UNet(UNetConfig.standard(3, 2,
    widths=(16, 32, 64)))``.

    Args:
        config: may also be what ``UNetConfig.to_json`` gives, which is what ``huggingface_hub``'s
            mixin hands over.
    """

    def __init__(self, config: UNetConfig | Mapping[str, Any]) -> None:
        super().__init__()
        if not isinstance(config, UNetConfig):
            config = UNetConfig.from_json(config)
        self.config = config
        if config.tf1_output is not None:
            self.tf1_outputs = (config.tf1_output,)
        channels, skips = config.in_channels, []
        encoder, decoder = [], []
        for level in config.encoder:
            encoder.append(Encoder(level, channels))
            skips.append(channels_after(level.block, channels))
            channels = channels_after(level.down, skips[-1])
        self.encoder = nn.ModuleList(encoder)
        self.bottleneck = build_block(config.bottleneck, channels)
        channels = channels_after(config.bottleneck, channels)
        for up_level, width in zip(config.decoder, reversed(skips), strict=True):
            skip_channels = 0 if up_level.skip_first is None else width
            decoder.append(Decoder(up_level, channels, skip_channels))
            merged = channels_after(up_level.up, channels) + skip_channels
            channels = channels_after(up_level.block, merged)
        self.decoder = nn.ModuleList(decoder)
        self.head = build_block(config.head, channels)

    def use_moving_statistics(self) -> UNet:
        """Let every batch norm use its moving averages in eval mode; returns the model."""
        for module in self.modules():
            if isinstance(module, BatchStatisticsNorm2d):
                module.uses_batch_statistics = False
        return self

    def extra_repr(self) -> str:
        """Say in ``print(model)`` which UNet this is."""
        return self.config.describe()

    def forward(self, image: Tensor) -> Tensor:
        """Segment ``image`` [N, in_channels, H, W], or [N, H, W] if there is one channel.

        Whole numbers are cast, not scaled.
        """
        if image.ndim == 3:
            image = image.unsqueeze(1)
        x = image if image.is_floating_point() else image.to(torch.get_default_dtype())
        skips: list[Tensor] = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottleneck(x)
        for level in self.decoder:
            x = level(x, skips.pop())
        result: Tensor = self.head(x)
        return result
