"""Compares every layer with TensorFlow's while the model runs.

Each is compared at the moment its module returns, so that no layer's output is kept and an
activation that works in place cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from stage_load.axes import layer_to_tf
from stage_load.comparison import compare
from stage_load.export_reader import Export, reference_layers
from stage_load.export_view import Layer
from stage_load.initialised import Initialised, dependence, initialised_origin
from stage_load.plan import LayerPlace
from stage_load.recurrent_output import NoOutput, recurrent_output
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import to_numpy
from stage_load.tf_units import OTHER, RECURRENT
from stage_load.torch_units import module_path
from stage_load.verdict import LayerParity, NotCompared

Progress = Callable[[int, int], None]


@dataclass
class LayerRun:
    """One run of the model whose layers are compared."""

    export: Export
    reference: SafetensorsReader
    places: Sequence[LayerPlace]
    tolerance: float
    progress: Progress
    initialised: Initialised
    _dependent: dict[int, str] = field(default_factory=dict)
    _found: dict[int, LayerParity] = field(default_factory=dict)
    _odd: dict[int, str] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _by_module: dict[str, list[LayerPlace]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._recorded = reference_layers(self.export.view.reference, self.export.view.layers)
        for place in sorted(self.places, key=lambda place: place.call):
            self._by_module.setdefault(place.module, []).append(place)

    def watching(self, model: nn.Module) -> ExitStack:
        """Return a context in which the outputs of all placed modules are compared."""
        context = ExitStack()
        for path in sorted(self._by_module):
            handle = model.get_submodule(module_path(path)).register_forward_hook(self._hook(path))
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
            NotCompared(
                layer.index,
                layer.name,
                self._why(layer, placed.get(layer.index)),
                layer.index in self._dependent or layer.index in self.initialised.layers,
            )
            for layer in left
        )

    def _why(self, layer: Layer, place: LayerPlace | None) -> str:
        _, reason = self._recorded.get(layer.index, ("", "not part of the reference run"))
        if reason is not None:
            return reason
        if layer.index in self._dependent:
            return self._dependent[layer.index]
        if layer.index in self.initialised.layers:
            return "none of its variables was loaded"
        if place is None and layer.kind == OTHER:
            return "no torch module is known to compute just this operation"
        if place is None:
            return "no torch module holds exactly its variables"
        if layer.index in self._odd:
            return self._odd[layer.index]
        ran = self._calls.get(place.module, 0)
        calls = f"{ran} time{'' if ran == 1 else 's'}"
        return f"the module {place.module!r} ran {calls}, call {place.call + 1} is not there"

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def compare_output(module: nn.Module, args: Any, output: Any) -> None:
            del args
            call = self._calls.get(path, 0)
            self._calls[path] = call + 1
            places = self._by_module[path]
            origin = initialised_origin(output)
            if origin is not None:
                reason = dependence(origin)
                self._dependent |= {p.layer: reason for p in places if p.call == call}
            elif call < len(places):
                self._compare(module, places, call, output)

        return compare_output

    def _compare(
        self, module: nn.Module, places: Sequence[LayerPlace], call: int, output: Any
    ) -> None:
        """Compare a call with the application of its number, or with another one that agrees.

        The calls of a shared module may come in another order than TensorFlow's: towers of a
        siamese network, heads over several scales.
        """
        best: LayerParity | None = None
        for place in (places[call], *places):
            if place.layer in self._found or (best is not None and place is places[call]):
                continue
            found = self._compared(module, place, call, output)
            if found is not None and (best is None or found.comparison.agrees):
                best = found
            if best is not None and best.comparison.agrees:
                break
        if best is not None:
            self._found[best.layer] = best
            self.progress(len(self._found), len(self.places))

    def _compared(
        self, module: nn.Module, place: LayerPlace, call: int, output: Any
    ) -> LayerParity | None:
        tensor, reason = self._recorded.get(place.layer, ("", "not recorded"))
        if reason is not None:
            return None
        layer = self.export.view.layers[place.layer]
        if layer.kind in RECURRENT:
            try:
                part = place.module.partition(":")[2]
                output = recurrent_output(module, part, layer, output)
            except NoOutput as error:
                self._odd[place.layer] = str(error)
                return None
        if not isinstance(output, Tensor):
            self._odd[place.layer] = f"its module returns a {type(output).__name__}"
            return None
        expected = self.reference.read(tensor)
        actual = to_numpy(layer_to_tf(output, layer, expected.shape))
        comparison = compare(expected, actual, self.tolerance)
        return LayerParity(place.layer, layer.name, tensor, place.module, call, comparison)
