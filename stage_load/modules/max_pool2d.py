"""Max pooling with TensorFlow's SAME padding."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.modules.padding import pad_same, pair


class SamePadMaxPool2d(nn.MaxPool2d):
    """[N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]; the padding is -infinity.

    The stride is the kernel's size where none is given, as in torch.
    """

    def __init__(
        self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] | None = None
    ) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``input`` [N, C, H, W]."""
        kernel, stride = pair(self.kernel_size), pair(self.stride)
        padded = pad_same(input, kernel, stride, (1, 1), value=float("-inf"))
        return F.max_pool2d(padded, kernel, stride)
