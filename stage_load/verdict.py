"""What a proof found, as plain data, and the verdict over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stage_load.comparison import Comparison

PROVEN = "proven"
FAILED = "failed"
UNPROVEN = "unproven"

_NO_NUMBER = "TensorFlow computed no finite number there"
_SPREADS = "the checkpoint's weights hold NaN or infinity, which spreads differently in torch"


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
    """A tensor that TensorFlow computed and that was not compared, and why.

    ``is_excused``: it has no counterpart by the user's own wish.
    """

    layer: int | None
    name: str
    reason: str
    is_excused: bool = False


@dataclass(frozen=True)
class Cause:
    """Why a layer, or an output, differs.

    Attributes:
        kind: ``"padding"``, ``"epsilon"``, ``"resize"``, ...: one word for programs.
        where: the module's path, or the tensor's name.
        text: what the graph computes, and what the module computes instead.
        remedy: what to change in the module.
        is_certain: the numbers show it: with the change they agree.
    """

    kind: str
    where: str
    text: str
    remedy: str
    is_certain: bool

    def __str__(self) -> str:
        likely = "" if self.is_certain else "perhaps: "
        return f"{likely}{self.text}. {self.remedy}"


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
        causes: why it failed, as far as it is known.
        traceback: lines of the model's own traceback, where it failed by raising.
    """

    verdict: str
    reason: str | None
    tolerance: float
    layers: tuple[LayerParity, ...] = ()
    outputs: tuple[OutputParity, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    causes: tuple[Cause, ...] = ()
    traceback: tuple[str, ...] = ()

    @property
    def explained_reason(self) -> str | None:
        """The reason with all that is known of the causes."""
        if self.reason is None or not self.causes:
            return self.reason
        return "; ".join([self.reason, *(f"cause: {cause}" for cause in self.causes)])

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
    """Return the verdict over everything that was compared, naming the first that differs.

    Tensors without a finite number agree with nothing: they count as not compared. So do layers
    whose module returns another shape, as one before a crop does, where what follows agrees. Where
    what agrees is constant, any weights would have done, and nothing is proven.
    """
    silent = _silent(layers, outputs)
    not_compared = (*silent, *not_compared)
    layers = tuple(entry for entry in layers if not _says_nothing(entry.comparison))
    outputs = tuple(entry for entry in outputs if not _says_nothing(entry.comparison))
    cut = _misshapen_before_agreement(layers, outputs)
    not_compared = (*(_not_compared(entry) for entry in cut), *not_compared)
    layers = tuple(entry for entry in layers if entry not in cut)
    silent_output = any(entry.layer is None for entry in silent)
    name, reason = _verdict(layers, outputs, not_compared, silent_output=silent_output)
    return Parity(name, reason, tolerance, layers, outputs, not_compared)


def _verdict(
    layers: tuple[LayerParity, ...],
    outputs: tuple[OutputParity, ...],
    not_compared: tuple[NotCompared, ...],
    *,
    silent_output: bool,
) -> tuple[str, str]:
    """Return the verdict's name and its reason; ``silent_output``: one held no finite number."""
    difference = _first_difference(layers, outputs)
    if difference is not None:
        return FAILED, difference
    excused = [entry for entry in not_compared if entry.is_excused and entry.layer is None]
    if not outputs and excused and layers:
        return _verdict_of_layers(layers, not_compared, excused[0].reason)
    if not outputs:
        why = f": {_NO_NUMBER}" if silent_output else ""
        return UNPROVEN, f"no output of the model could be compared with TensorFlow's{why}"
    compared = f"{_count(len(outputs), 'output')} and {_count(len(layers), 'layer')} compared"
    constant = sum(not entry.comparison.varies for entry in layers)
    skips_a_layer = any(entry.layer is not None for entry in not_compared)
    speaks = bool(layers) and not constant and not skips_a_layer
    if not speaks and not any(entry.comparison.varies for entry in outputs):
        why = "and the outputs are constant: other weights could give the same"
        return UNPROVEN, f"{compared}, {why}"
    if constant:
        compared += f", {constant} of them constant"
    return PROVEN, compared + _without(not_compared)


def _verdict_of_layers(
    layers: tuple[LayerParity, ...], not_compared: tuple[NotCompared, ...], why: str
) -> tuple[str, str]:
    """Return the verdict where no output has a counterpart because the user wished it so.

    What was loaded is proven if every layer of it was compared, and none is constant.
    """
    compared = f"{_count(len(layers), 'layer')} compared, and no output: {why}"
    constant = sum(not entry.comparison.varies for entry in layers)
    left_out = sum(entry.layer is not None and not entry.is_excused for entry in not_compared)
    if constant or left_out:
        gaps = [f"{_count(left_out, 'layer')} not compared"] if left_out else []
        gaps += [f"{constant} of them constant"] if constant else []
        return UNPROVEN, f"{compared}; {', '.join(gaps)}"
    return PROVEN, compared


def _first_difference(
    layers: tuple[LayerParity, ...], outputs: tuple[OutputParity, ...]
) -> str | None:
    layer = next((e for e in layers if not e.comparison.agrees), None)
    if layer is not None:
        where = f"layer {layer.layer} ({layer.name}, module {layer.module})"
        reason = f"{where} is the first that differs: {layer.comparison.reason}"
        if outputs and all(entry.comparison.agrees for entry in outputs):
            reason += (
                "; all outputs agree, so its module may do more than the layer (an activation)"
            )
        return reason
    output = next((e for e in outputs if not e.comparison.agrees), None)
    if output is not None:
        return f"output {output.tensor} differs: {output.comparison.reason}"
    return None


def without_misplaced(parity: Parity) -> Parity:
    """Judge again without the tensors in which NaN or infinity stands at different places.

    For a checkpoint whose own weights are not finite: frameworks differ in how NaN spreads (a
    maximum drops it in TensorFlow and keeps it in torch), which says nothing of the loading. If
    the outputs are among these tensors, nothing is proven.
    """
    layers = tuple(entry for entry in parity.layers if not entry.comparison.misplaced)
    outputs = tuple(entry for entry in parity.outputs if not entry.comparison.misplaced)
    left_out = [
        NotCompared(entry.layer, entry.name, _SPREADS)
        for entry in parity.layers
        if entry.comparison.misplaced
    ]
    left_out += [
        NotCompared(None, entry.tensor, _SPREADS)
        for entry in parity.outputs
        if entry.comparison.misplaced
    ]
    again = judge(layers, outputs, (*left_out, *parity.not_compared), parity.tolerance)
    if again.verdict == UNPROVEN and left_out and not outputs:
        reason = f"no output of the model could be compared with TensorFlow's: {_SPREADS}"
        return replace(again, reason=reason)
    return again


def _says_nothing(comparison: Comparison) -> bool:
    return comparison.agrees and not comparison.compared


def _silent(
    layers: tuple[LayerParity, ...], outputs: tuple[OutputParity, ...]
) -> tuple[NotCompared, ...]:
    """Return the tensors in which there was no number to compare."""
    found = [
        NotCompared(entry.layer, entry.name, _NO_NUMBER)
        for entry in layers
        if _says_nothing(entry.comparison)
    ]
    found += [
        NotCompared(None, entry.tensor, _NO_NUMBER)
        for entry in outputs
        if _says_nothing(entry.comparison)
    ]
    return tuple(found)


def _misshapen_before_agreement(
    layers: tuple[LayerParity, ...], outputs: tuple[OutputParity, ...]
) -> tuple[LayerParity, ...]:
    """Return the layers of another shape that a later layer, or all outputs, show to be right."""
    agreeing = (e.layer for e in layers if e.comparison.agrees and e.comparison.varies)
    last = max(agreeing, default=-1)
    all_agree = bool(outputs) and all(entry.comparison.agrees for entry in outputs)
    return tuple(e for e in layers if e.comparison.misshapen and (all_agree or e.layer < last))


def _not_compared(entry: LayerParity) -> NotCompared:
    return NotCompared(entry.layer, entry.name, str(entry.comparison.reason))


def _without(not_compared: tuple[NotCompared, ...]) -> str:
    """Return how much was left out, as the end of a sentence; empty where nothing was."""
    layers = sum(entry.layer is not None for entry in not_compared)
    numbers = ((len(not_compared) - layers, "output"), (layers, "layer"))
    left_out = " and ".join(_count(number, noun) for number, noun in numbers if number)
    return f"; {left_out} not compared" if left_out else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
