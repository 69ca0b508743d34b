"""The networks of build.py as torch modules: other names, and defined in another order."""

import torch
import torch.nn.functional as F
from torch import nn


class SequenceClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8 * 11, 5)
        self.pointwise = nn.Conv1d(14, 8, 1)
        self.depthwise = nn.Conv1d(7, 14, 3, groups=7, bias=False)
        self.norm = nn.BatchNorm1d(7)
        self.second = nn.Conv1d(6, 7, 4)
        self.causal = nn.Conv1d(3, 6, 3, dilation=2)

    def forward(self, x):
        x = F.relu(self.causal(F.pad(x, (4, 0))))
        x = self.norm(F.relu(self.second(F.pad(x, (1, 2)))))
        x = F.relu(self.pointwise(self.depthwise(x)))
        return self.head(F.max_pool1d(x, 2).flatten(1))


class SequenceToSequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(6, 4, 2, 2, bias=False)
        self.narrow = nn.Conv1d(3, 6, 3, bias=False)
        self.twice = nn.Conv1d(3, 3, 5, padding=2, bias=False)

    def forward(self, x):
        x = F.relu(self.twice(F.relu(self.twice(x))))
        return self.up(F.relu(self.narrow(x)))


class Volumes(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(6 * 4 * 4 * 6, 5)
        self.mask = nn.ConvTranspose3d(6, 2, (3, 2, 4), 2)
        self.holes = nn.Conv3d(4, 6, 3, padding=(1, 2, 2), dilation=(1, 2, 2), bias=False)
        self.norm = nn.BatchNorm3d(4)
        self.down = nn.Conv3d(3, 4, (2, 4, 2), 2)

    def forward(self, x):
        x = self.holes(self.norm(F.relu(self.down(x))))
        return self.mask(x), self.scores(x.flatten(1))


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(5)
        self.third = nn.ModuleList([nn.Conv2d(7, 7, 3, groups=7, bias=False)])
        self.third.append(nn.Conv2d(7, 5, 1, bias=False))
        self.alone = nn.Conv2d(7, 7, 2, groups=7)
        self.second = nn.ModuleList([nn.Conv2d(6, 6, 3, dilation=2, groups=6, bias=False)])
        self.second.append(nn.Conv2d(6, 7, 1))
        self.first = nn.ModuleList([nn.Conv2d(3, 6, (3, 4), groups=3, bias=False)])
        self.first.append(nn.Conv2d(6, 6, 1))

    def forward(self, x):
        x = F.relu(self.first[1](self.first[0](x)))
        x = self.alone(self.second[1](self.second[0](x)))
        return F.relu(self.norm(self.third[1](self.third[0](x))))


class SharedKernel(nn.Module):
    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(6, 8, (3, 2), groups=2)
        self.first = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        return self.grouped(F.relu(self.first(x)))


class SharedKernelApart(nn.Module):
    def __init__(self):
        super().__init__()
        self.upper = nn.Conv2d(3, 4, (3, 2))
        self.first = nn.Conv2d(3, 6, 3)
        self.lower = nn.Conv2d(3, 4, (3, 2))

    def forward(self, x):
        lower, upper = F.relu(self.first(x)).chunk(2, 1)
        return torch.cat([self.lower(lower), self.upper(upper)], 1)


class OwnKernelsGrouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(12, 5, 1)
        self.grouped = nn.Conv2d(6, 12, (3, 2), groups=3)
        self.first = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        return self.last(F.relu(self.grouped(F.relu(self.first(x)))))


class OwnKernelsApart(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(12, 5, 1)
        self.branches = nn.ModuleList(nn.Conv2d(2, 4, (3, 2)) for _ in range(3))
        self.first = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        parts = F.relu(self.first(x)).chunk(3, 1)
        joined = [module(part) for module, part in zip(self.branches, parts, strict=True)]
        return self.last(F.relu(torch.cat(joined, 1)))


class Rows(SequenceToSequence):
    """Takes and returns [N, T, C], as TensorFlow does."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ChannelsFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(7 * 3 * 3, 5)
        self.mask = nn.ConvTranspose2d(7, 2, (2, 3), (1, 3))
        self.pointwise = nn.Conv2d(12, 7, 1)
        self.depthwise = nn.Conv2d(6, 12, (2, 3), groups=6, bias=False)
        self.holes = nn.Conv2d(4, 6, 3, padding=(1, 2), dilation=(1, 2))
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(3, 4, (3, 2), (1, 2))

    def forward(self, x):
        # SAME over 17 columns in steps of 2, and then over 9 with a window of 3.
        x = self.holes(self.norm(F.relu(self.down(F.pad(x, (0, 1, 1, 1))))))
        x = F.max_pool2d(x, (2, 3), (2, 1), padding=(0, 1))
        x = self.pointwise(self.depthwise(x))
        return self.mask(x), self.scores(F.avg_pool2d(x, 2).flatten(1))
