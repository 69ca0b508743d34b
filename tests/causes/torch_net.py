"""The network of graph.py in torch, right or with one mistake: `torch_net.py:right`."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.modules import (
    SamePadAvgPool2d,
    SamePadConv2d,
    SamePadConvTranspose2d,
    SamePadMaxPool2d,
    TF1Resize,
)


class FixedEpsilon(nn.BatchNorm2d):
    """Does not look at its own epsilon."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [N, C, H, W]."""
        shown = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(x, *shown, eps=1e-2)


class OwnStatistics(nn.BatchNorm2d):
    """Always takes those of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [N, C, H, W]."""
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class Active(SamePadConv2d):
    """Returns what comes after its activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` [N, C, H, W]."""
        return F.leaky_relu(super().forward(x), 0.2)


class Net(nn.Module):
    """[N, 3, 24, 17] -> [N, 7]"""

    def __init__(self, mistake: str = "") -> None:
        super().__init__()
        self.mistake = mistake
        self.scores = nn.Linear(180, 7)
        self.padded = nn.Conv2d(6, 2, 3, 2, padding=1)
        self.up = SamePadConvTranspose2d(4, 3, 3, 2)
        self.dilated = SamePadConv2d(3, 4, 3, dilation=2)
        self.point_after = nn.Conv2d(6, 3, 1)
        self.each = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.even = SamePadConv2d(4, 6, 2)
        self.point = nn.Conv2d(5, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.strided = SamePadConv2d(3, 5, 3, 2)
        self.max_pool: nn.Module = SamePadMaxPool2d(3, 2)
        self.average_pool: nn.Module = SamePadAvgPool2d(3, 2)
        self.bilinear: nn.Module = TF1Resize((7, 8))
        self.nearest: nn.Module = TF1Resize((10, 9), method="nearest", align_corners=True)
        for name, module in WRONG_MODULES.get(mistake, dict)().items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 24, 17]."""
        if self.mistake == "bgr":
            x = x.flip(1)
        if self.mistake == "scaled":
            x = x / 127.5 - 1
        if self.mistake == "padded_before":
            x = F.pad(x, (1, 1, 1, 1))
        x = self.max_pool(torch.relu(self.norm(self.strided(x))))
        x = self.even(self.average_pool(self.point(x)))
        x = self.nearest(self.point_after(self.each(self.bilinear(x))))
        x = self.dilated(x)
        if self.mistake not in ("activation_inside", "no_activation"):
            x = F.leaky_relu(x, 0.01 if self.mistake == "slope" else 0.2)
        if self.mistake == "dropout":
            x = F.dropout(x, training=True)
        x = self.up(x)
        parts = [torch.relu(x), x] if self.mistake == "joined" else [x, torch.relu(x)]
        x = torch.relu(self.padded(torch.cat(parts, 1)))
        return self.scores((x.permute(0, 2, 3, 1) if self.mistake == "flatten" else x).flatten(1))


WRONG_MODULES = {
    "strided": lambda: {"strided": nn.Conv2d(3, 5, 3, 2, padding=1)},
    "padded_before": lambda: {"strided": nn.Conv2d(3, 5, 3, 2)},
    "even": lambda: {"even": nn.Conv2d(4, 6, 2, padding=1)},
    "each": lambda: {"each": nn.Conv2d(6, 6, 3, padding=0, groups=6, bias=False)},
    "dilation": lambda: {"dilated": nn.Conv2d(3, 4, 3, padding=1)},
    "up": lambda: {"up": nn.ConvTranspose2d(4, 3, 3, 2, padding=1, output_padding=1)},
    "padded": lambda: {"padded": SamePadConv2d(6, 2, 3, 2)},
    "epsilon": lambda: {"norm": FixedEpsilon(5)},
    "statistics": lambda: {"norm": OwnStatistics(5)},
    "activation_inside": lambda: {"dilated": Active(3, 4, 3, dilation=2)},
    "max_pool": lambda: {"max_pool": nn.MaxPool2d(3, 2, padding=1)},
    "max_pool_ceil": lambda: {"max_pool": nn.MaxPool2d(3, 2, ceil_mode=True)},
    "average_pool": lambda: {"average_pool": nn.AvgPool2d(3, 2, padding=1)},
    "bilinear": lambda: {"bilinear": nn.Upsample((7, 8), mode="bilinear")},
    "bilinear_corners": lambda: {
        "bilinear": nn.Upsample((7, 8), mode="bilinear", align_corners=True)
    },
    "nearest": lambda: {"nearest": nn.Upsample((10, 9))},
}
OTHER_MISTAKES = ("bgr", "scaled", "no_activation", "slope", "dropout", "joined", "flatten")

right = Net
for _mistake in (*WRONG_MODULES, *OTHER_MISTAKES):
    globals()[_mistake] = partial(Net, _mistake)
