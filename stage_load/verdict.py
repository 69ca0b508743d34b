"""What a proof found, as plain data, and the verdict over it."""

from __future__ import annotations

from dataclasses import dataclass

from stage_load.comparison import Comparison

PROVEN = "proven"
FAILED = "failed"
UNPROVEN = "unproven"


@dataclass(frozen=True)
class LayerParity:
    """One layer's comparison; ``layer`` is its index in the graph."""

    layer: int
    name: str
    tensor: str
    module: str
    call: int
    comparison: Comparison


@dataclass(frozen=True)
class OutputParity:
    """One output's comparison."""

    tensor: str
    comparison: Comparison


@dataclass(frozen=True)
class NotCompared:
    """A tensor that TensorFlow computed and that was not compared, and why."""

    layer: int | None
    name: str
    reason: str


@dataclass(frozen=True)
class Parity:
    """What the proof found.

    Attributes:
        verdict: ``"proven"``, ``"failed"`` or ``"unproven"``.
        reason: why it is not proven; with ``"proven"``, how much was compared.
        tolerance: relative to the scale of each tensor.
        layers: in forward order.
        outputs: in the order in which the model returns them.
        not_compared: what has no counterpart, or was not recorded.
    """

    verdict: str
    reason: str | None
    tolerance: float
    layers: tuple[LayerParity, ...] = ()
    outputs: tuple[OutputParity, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def first_differing_layer(self) -> LayerParity | None:
        """The first layer in forward order that differs."""
        return next((layer for layer in self.layers if not layer.comparison.agrees), None)


def unproven(reason: str, tolerance: float) -> Parity:
    """Return the verdict for a model that nothing was compared of."""
    return Parity(UNPROVEN, reason, tolerance)


def judge(
    layers: tuple[LayerParity, ...],
    outputs: tuple[OutputParity, ...],
    not_compared: tuple[NotCompared, ...],
    tolerance: float,
) -> Parity:
    """Return the verdict over everything that was compared, naming the first that differs."""

    def verdict(name: str, reason: str | None) -> Parity:
        return Parity(name, reason, tolerance, layers, outputs, not_compared)

    layer = next((e for e in layers if not e.comparison.agrees), None)
    if layer is not None:
        where = f"layer {layer.layer} ({layer.name}, module {layer.module})"
        return verdict(FAILED, f"{where} is the first that differs: {layer.comparison.reason}")
    output = next((e for e in outputs if not e.comparison.agrees), None)
    if output is not None:
        return verdict(FAILED, f"output {output.tensor} differs: {output.comparison.reason}")
    if not outputs:
        return verdict(UNPROVEN, "no output of the model could be compared with TensorFlow's")
    left_out = sum(entry.layer is not None for entry in not_compared)
    without = f"; {_count(left_out, 'layer')} not compared" if left_out else ""
    return verdict(
        PROVEN,
        f"{_count(len(outputs), 'output')} and {_count(len(layers), 'layer')} compared{without}",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
