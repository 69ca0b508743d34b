"""Average pooling with TensorFlow's SAME padding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.modules.padding import pad_same, pair


class SamePadAvgPool2d(nn.AvgPool2d):
    """[N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]; the padding does not count.

    The stride is the kernel's size where none is given, as in torch.
    """

    def __init__(
        self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] | None = None
    ) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``input`` [N, C, H, W]."""
        kernel, stride = pair(self.kernel_size), pair(self.stride)
        inside = torch.ones_like(input[:1, :1])
        sums = F.avg_pool2d(pad_same(input, kernel, stride, (1, 1)), kernel, stride)
        return sums / F.avg_pool2d(pad_same(inside, kernel, stride, (1, 1)), kernel, stride)
