"""AlexNet on one column: the head's layers first, then the trunk as one Sequential."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadConv2d


class AlexNet(nn.Module):
    """[N, 3, 199, 199] -> [N, 6]"""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(4096, 6, 1)
        self.fc = nn.ModuleList([nn.Conv2d(4096, 4096, 1), nn.Conv2d(256, 4096, 5)])
        self.body = nn.Sequential(
            OrderedDict(
                stem=self.stem(),
                act0=nn.ReLU(),
                pool0=nn.MaxPool2d(3, 2),
                wide=SamePadConv2d(64, 192, 5),
                act1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2),
                a=SamePadConv2d(192, 384, 3),
                act2=nn.ReLU(),
                b=SamePadConv2d(384, 384, 3),
                act3=nn.ReLU(),
                c=SamePadConv2d(384, 256, 3),
                act4=nn.ReLU(),
                pool2=nn.MaxPool2d(3, 2),
            )
        )

    def stem(self) -> nn.Module:
        """The large window."""
        return nn.Conv2d(3, 64, 11, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 199, 199]."""
        x = self.body(x)
        for layer in reversed(self.fc):
            x = torch.relu(layer(x))
        return self.out(x).squeeze(3).squeeze(2)
