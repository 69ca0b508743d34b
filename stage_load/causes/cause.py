"""What is known of a layer that differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stage_load.axes import layer_to_tf
from stage_load.comparison import compare
from stage_load.export_reader import Export
from stage_load.export_view import Layer
from stage_load.tensors import to_numpy


@dataclass(frozen=True)
class Suspect:
    """The first layer that differs, with what its module was given and returned.

    Attributes:
        export: the graph and what TensorFlow computed.
        layer: the layer.
        module: its module, at ``path`` in the model.
        given: the module's input, in torch's axes.
        returned: its output, in torch's axes.
        expected: what TensorFlow computed, in TensorFlow's axes.
        tolerance: of the proof.
    """

    export: Export
    layer: Layer
    module: nn.Module
    path: str
    given: Tensor
    returned: Tensor
    expected: NDArray[Any]
    tolerance: float

    def agrees(self, value: Tensor) -> bool:
        """Whether ``value``, in torch's axes, is what TensorFlow computed for this layer."""
        return self.is_same(value, self.expected)

    def is_same(self, value: Tensor, expected: NDArray[Any]) -> bool:
        """Whether ``value``, in torch's axes, is ``expected`` in TensorFlow's."""
        actual = to_numpy(layer_to_tf(value, self.layer, expected.shape))
        return compare(np.asarray(expected), actual, self.tolerance).agrees
