"""What a reference run leaves: the "reference" object of graph.json, and what to tell the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple


class ReferenceUnavailable(Exception):
    """The graph cannot be run; the text says exactly why. The export goes on without it."""


@dataclass(frozen=True)
class Feed:
    """One input of the reference run.

    Attributes:
        tensor: the fed tensor's name.
        dtype: numpy's name of its type.
        shape: its sizes, in TensorFlow's axes.
        how: how the values were drawn, with the seed.
    """

    tensor: str
    dtype: str
    shape: Tuple[int, ...]
    how: str

    def to_json(self) -> Dict[str, Any]:
        """Give the entry of graph.json's `reference.feeds`."""
        return {
            "tensor": self.tensor,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "how": self.how,
        }


@dataclass(frozen=True)
class LayerRecord:
    """Whether one tensor of a layer was recorded.

    Attributes:
        layer: index of the layer in graph.json.
        tensor: the layer's output, or the output of its main op.
        recorded: the tensor is in reference.safetensors.
        reason: why it is not; for a recorded tensor null, or that it holds NaN or infinity.
    """

    layer: int
    tensor: str
    recorded: bool
    reason: Optional[str]

    def to_json(self) -> Dict[str, Any]:
        """Give the entry of graph.json's `reference.layers`."""
        return {
            "layer": self.layer,
            "tensor": self.tensor,
            "recorded": self.recorded,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class ReferenceResult:
    """The reference run of one export.

    Attributes:
        state: "recorded" or "absent".
        reason: why it is absent; for a recorded one null, or that an output holds NaN or infinity.
        seed: seed of the first input; null if absent.
        feeds: the data inputs, in forward order.
        outputs: names of the recorded model outputs.
        layers: one entry a layer tensor, in forward order.
        deterministic: true if two runs agreed bit for bit, false if they did not, null if none ran.
        size_bytes: size of all recorded tensors.
        warnings: sentences for the user; not part of graph.json.
    """

    state: str
    reason: Optional[str]
    seed: Optional[int] = None
    feeds: Sequence[Feed] = ()
    outputs: Sequence[str] = ()
    layers: Sequence[LayerRecord] = ()
    deterministic: Optional[bool] = None
    size_bytes: int = 0
    warnings: Sequence[str] = ()

    def to_json(self) -> Dict[str, Any]:
        """Give graph.json's "reference" object."""
        return {
            "state": self.state,
            "reason": self.reason,
            "seed": self.seed,
            "feeds": [feed.to_json() for feed in self.feeds],
            "outputs": list(self.outputs),
            "layers": [layer.to_json() for layer in self.layers],
            "deterministic": self.deterministic,
            "size_bytes": self.size_bytes,
        }


def absent(reason: str, deterministic: Optional[bool] = None) -> ReferenceResult:
    """Give the result of an export without a reference."""
    return ReferenceResult("absent", reason, deterministic=deterministic)
