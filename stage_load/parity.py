"""Runs the loaded model on TensorFlow's inputs and compares every output with TensorFlow's.

Each layer is compared while the model runs, at the moment its module returns, so that no layer's
output is kept and an activation that works in place cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stage_load.axes import graph_is_channels_first, image_to_tf, image_to_torch, layer_to_tf
from stage_load.comparison import compare
from stage_load.devices import full_precision
from stage_load.export_reader import Export, reference_layers
from stage_load.export_view import Layer
from stage_load.plan import LayerPlace
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.trace import RUN_ERRORS, describe_failure
from stage_load.verdict import (
    FAILED,
    LayerParity,
    NotCompared,
    OutputParity,
    Parity,
    judge,
    unproven,
    without_misplaced,
)

Progress = Callable[[int, int], None]


def model_inputs(
    export: Export, model: nn.Module, reference: SafetensorsReader, device: torch.device
) -> tuple[Tensor, ...]:
    """Return TensorFlow's inputs in the order in which the model takes them, in torch's axes."""
    names = getattr(model, "tf1_inputs", None) or [e.tensor for e in export.view.inputs]
    feeds = [feed["tensor"] for feed in export.view.reference["feeds"]]
    channels_first = graph_is_channels_first(export.view)
    return tuple(
        image_to_torch(_to_torch(reference.read(name)), channels_first=channels_first).to(device)
        for name in names
        if name in feeds
    )


def prove(
    export: Export,
    model: nn.Module,
    places: Sequence[LayerPlace],
    tolerance: float,
    progress: Progress,
    *,
    weights_are_finite: bool,
) -> Parity:
    """Run the loaded model and compare outputs and layers with TensorFlow's.

    Args:
        export: with a reference.
        model: loaded, in eval mode.
        places: where each layer runs.
        tolerance: allowed difference relative to each tensor's scale.
        progress: called with (compared, all) layers.
        weights_are_finite: the checkpoint holds neither NaN nor infinity.
    """
    reference = export.reference
    if reference is None:
        reason = export.view.reference["reason"] or "the export has no reference run"
        return unproven(str(reason), tolerance)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    run = _Run(export, reference, places, tolerance, progress)
    with full_precision(), torch.inference_mode(), run.watching(model):
        try:
            result = model(*model_inputs(export, model, reference, device))
        except torch.OutOfMemoryError:
            raise
        except RUN_ERRORS as error:
            return Parity(
                FAILED,
                f"the model fails on TensorFlow's inputs: {describe_failure(error)}",
                tolerance,
                run.layers(),
                (),
                run.not_compared(),
            )
        outputs, missing = _compare_outputs(export, reference, model, result, tolerance)
    parity = judge(run.layers(), outputs, (*run.not_compared(), *missing), tolerance)
    return parity if weights_are_finite else without_misplaced(parity)


@dataclass
class _Run:
    """Compares layers while the model runs."""

    export: Export
    reference: SafetensorsReader
    places: Sequence[LayerPlace]
    tolerance: float
    progress: Progress
    _found: dict[int, LayerParity] = field(default_factory=dict)
    _odd: dict[int, str] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _by_place: dict[tuple[str, int], LayerPlace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._recorded = reference_layers(self.export.view.reference, self.export.view.layers)
        self._by_place = {(place.module, place.call): place for place in self.places}

    def watching(self, model: nn.Module) -> ExitStack:
        """Return a context in which the outputs of all placed modules are compared."""
        context = ExitStack()
        for path in sorted({place.module for place in self.places}):
            handle = model.get_submodule(path).register_forward_hook(self._hook(path))
            context.callback(handle.remove)
        return context

    def layers(self) -> tuple[LayerParity, ...]:
        """Return what was compared, in forward order."""
        return tuple(self._found[index] for index in sorted(self._found))

    def not_compared(self) -> tuple[NotCompared, ...]:
        """Return the layers that were not, in forward order."""
        placed = {place.layer: place for place in self.places}
        left = (layer for layer in self.export.view.layers if layer.index not in self._found)
        return tuple(
            NotCompared(layer.index, layer.name, self._why(layer, placed.get(layer.index)))
            for layer in left
        )

    def _why(self, layer: Layer, place: LayerPlace | None) -> str:
        _, reason = self._recorded.get(layer.index, ("", "not part of the reference run"))
        if reason is not None:
            return reason
        if place is None:
            return "no torch module holds exactly its variables"
        if layer.index in self._odd:
            return self._odd[layer.index]
        ran = self._calls.get(place.module, 0)
        calls = f"{ran} time{'' if ran == 1 else 's'}"
        return f"the module {place.module!r} ran {calls}, call {place.call + 1} is not there"

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def compare_output(module: nn.Module, args: Any, output: Any) -> None:
            del module, args
            call = self._calls.get(path, 0)
            self._calls[path] = call + 1
            place = self._by_place.get((path, call))
            if place is not None:
                self._compare(place, output)

        return compare_output

    def _compare(self, place: LayerPlace, output: Any) -> None:
        tensor, reason = self._recorded.get(place.layer, ("", "not recorded"))
        if reason is not None:
            return
        if not isinstance(output, Tensor):
            self._odd[place.layer] = f"its module returns a {type(output).__name__}"
            return
        layer = self.export.view.layers[place.layer]
        expected = self.reference.read(tensor)
        actual = _to_numpy(layer_to_tf(output, layer, expected.shape))
        comparison = compare(expected, actual, self.tolerance)
        self._found[place.layer] = LayerParity(
            place.layer, layer.name, tensor, place.module, place.call, comparison
        )
        self.progress(len(self._found), len(self.places))


def _compare_outputs(
    export: Export,
    reference: SafetensorsReader,
    model: nn.Module,
    result: Any,
    tolerance: float,
) -> tuple[tuple[OutputParity, ...], tuple[NotCompared, ...]]:
    """Compare what the model returned, in order, with the outputs of the graph."""
    names = tuple(getattr(model, "tf1_outputs", None) or export.view.reference["outputs"])
    values = _tensors_of(result)
    channels_first = graph_is_channels_first(export.view)
    compared = []
    fed = {feed["tensor"] for feed in export.view.reference["feeds"]}
    for name, value in zip(names, values, strict=False):
        if name in reference.entries and name not in fed:
            expected = reference.read(name)
            moved = image_to_tf(value, expected.shape, channels_first=channels_first)
            compared.append(OutputParity(name, compare(expected, _to_numpy(moved), tolerance)))
    done = {output.tensor for output in compared}
    wanted = dict.fromkeys((*names, *export.view.reference["outputs"]))
    absent = f"the model returns {len(values)} tensors, none of them is this"
    missing = tuple(
        NotCompared(None, name, "it is an input, handed on as it is" if name in fed else absent)
        for name in wanted
        if name not in done
    )
    return tuple(compared), missing


def _tensors_of(result: Any) -> list[Tensor]:
    """Return the tensors of a model's result, in order: a tensor, a sequence, or a mapping."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, list | tuple):
        return [tensor for value in result for tensor in _tensors_of(value)]
    return []


def _to_torch(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array)


def _to_numpy(tensor: Tensor) -> NDArray[Any]:
    value = tensor.detach()
    if value.dtype == torch.bfloat16:
        value = value.float()
    array: NDArray[Any] = value.to("cpu").numpy()
    return array
