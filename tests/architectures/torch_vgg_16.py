"""VGG with 16 layers: head first, stages of the trunk from the last to the first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# (convolutions, channels) of each stage.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class VGG16(nn.Module):
    """[N, 3, 224, 224] -> [N, 14]"""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Conv2d(4096, 14, 1)
        self.hidden = nn.ModuleDict(
            {"second": nn.Conv2d(4096, 4096, 1), "first": nn.Conv2d(512, 4096, 7)}
        )
        self.trunk = nn.ModuleDict()
        for number in reversed(range(len(STAGES))):
            self.trunk[f"scale{number}"] = self.stage(number)

    def stage(self, number: int) -> nn.Sequential:
        """Convolutions of one scale, each with its activation, and the pooling after them."""
        count, channels = STAGES[number]
        before = 3 if number == 0 else STAGES[number - 1][1]
        layers: list[nn.Module] = []
        for index in range(count):
            layers.append(self.convolution(before if index == 0 else channels, channels))
            layers.append(nn.ReLU(inplace=True))
        return nn.Sequential(*layers, self.pooling())

    def convolution(self, before: int, channels: int) -> nn.Module:
        """3x3, the size stays."""
        return nn.Conv2d(before, channels, 3, padding=1)

    def pooling(self) -> nn.Module:
        """Half the size."""
        return nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 224, 224]."""
        for number in range(len(STAGES)):
            x = self.trunk[f"scale{number}"](x)
        for name in ("first", "second"):
            x = torch.relu(self.hidden[name](x))
        return self.scores(x).flatten(1)
