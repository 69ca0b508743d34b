"""One run of the model in which each module takes the first layer that computes what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from stage_load.axes import layer_to_tf
from stage_load.choices import Choices
from stage_load.comparison import Comparison, compare
from stage_load.draft import Draft
from stage_load.export_reader import Export, reference_layers
from stage_load.initialised import initialised_origin
from stage_load.outputs import outputs_agree
from stage_load.pairing import UnitPair
from stage_load.plan import settings_of
from stage_load.running import ModelRaised, foreign_code
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import fill_tensors, to_numpy
from stage_load.tf_units import TfUnit
from stage_load.torch_units import TorchModel, module_path
from stage_load.trace import persistent_tensors


@dataclass(frozen=True)
class Scene:
    """What every run needs.

    Attributes:
        export: the graph and the variables.
        reference: what TensorFlow computed.
        model: loaded as proposed.
        inputs: TensorFlow's, as the model takes them.
        choices: what may be exchanged.
        tolerance: allowed difference relative to each tensor's scale.
    """

    export: Export
    reference: SafetensorsReader
    model: nn.Module
    inputs: tuple[Tensor, ...]
    choices: Choices
    tolerance: float


class _DeadEnd(BaseException):
    """A module agrees with no layer. No model's own ``except Exception`` may catch it."""


@dataclass(frozen=True)
class Step:
    """A module that has got a unit, and the units that would agree there as well."""

    path: str
    unit: TfUnit
    others: Sequence[TfUnit]


@dataclass
class Trial:
    """One run."""

    scene: Scene
    wanted: Mapping[str, TfUnit]
    steps: list[Step] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)
    _is_trying: bool = False

    def __post_init__(self) -> None:
        self._choices = self.scene.choices
        view = self.scene.export.view
        self._recorded = reference_layers(view.reference, view.layers)

    def run(self) -> bool | None:
        """Run the model; return whether the outputs agree, ``None`` where a layer did not."""
        scene = self.scene
        with ExitStack() as context:
            for path in self._choices.proposals:
                module = scene.model.get_submodule(module_path(path))
                hook = module.register_forward_hook(self._hook(path), with_kwargs=True)
                context.callback(hook.remove)
            try:
                with foreign_code():
                    result = scene.model(*scene.inputs)
            except (_DeadEnd, ModelRaised):
                return None
        return outputs_agree(scene.export, scene.reference, scene.model, result, scene.tolerance)

    def assignment(self) -> dict[str, TfUnit]:
        """Return module path -> unit; a module that was not asked keeps its own, or gets a rest."""
        found = {step.path: step.unit for step in self.steps}
        for path, unit in self._choices.proposals.items():
            if path not in found:
                free = [u for u in (unit, *self._group(path)) if not self._is_taken(u)]
                found[path] = free[0] if free else unit
                self._taken.add(found[path].layer.index)
        return found

    def _group(self, path: str) -> Sequence[TfUnit]:
        return self._choices.groups.get(path, (self._choices.proposals[path],))

    def _is_taken(self, unit: TfUnit) -> bool:
        return unit.layer.index in self._taken

    def _hook(self, path: str) -> Callable[..., Any]:
        def choose(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            is_first = all(step.path != path for step in self.steps)
            if self._is_trying or not isinstance(output, Tensor):
                return None
            if not is_first:
                unit = next(step.unit for step in self.steps if step.path == path)
                return self._output(path, unit, module, args, kwargs, output)
            return self._first_call(path, module, args, kwargs, output)

        return choose

    def _first_call(
        self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Tensor
    ) -> Any:
        candidates = [u for u in self._group(path) if not self._is_taken(u)]
        if path in self.wanted:
            candidates = [self.wanted[path]]
        comparable = False
        for unit in candidates:
            value = self._output(path, unit, module, args, kwargs, output)
            comparison = self._compared(unit, value)
            comparable |= comparison is not None
            if comparison is not None and comparison.agrees:
                self._take(path, unit)
                return value
        if comparable:
            raise _DeadEnd
        return None

    def _take(self, path: str, unit: TfUnit) -> None:
        origins, alike = self._choices.origins, self._choices.alike
        own = unit.layer.index
        self._taken.add(own)
        others = [
            other
            for other in self._group(path)
            if not self._is_taken(other)
            and origins[other.layer.index] == origins[own]
            and alike[other.layer.index] == alike[own]
        ]
        self.steps.append(Step(path, unit, others))

    def _compared(self, unit: TfUnit, value: Tensor) -> Comparison | None:
        """Compare with what the unit's layer returned; ``None`` where that was not recorded."""
        layer = unit.layer
        if initialised_origin(value) is not None:
            return None
        tensor, reason = self._recorded.get(layer.index, ("", "not recorded"))
        if reason is not None:
            return None
        expected = self.scene.reference.read(tensor)
        actual = to_numpy(layer_to_tf(value, layer, expected.shape))
        found = compare(expected, actual, self.scene.tolerance)
        return None if found.misshapen else found

    def _output(
        self, path: str, unit: TfUnit, module: nn.Module, args: Any, kwargs: Any, output: Tensor
    ) -> Tensor:
        """Return what the module computes with a unit's variables."""
        if unit is self._choices.proposals[path]:
            return output
        state, values = self._state(path, unit)
        self._is_trying = True
        try:
            with _set_for_now(module, values):
                result: Tensor = functional_call(module, state, args, kwargs)
        finally:
            self._is_trying = False
        return result

    def _state(self, path: str, unit: TfUnit) -> tuple[dict[str, Tensor], Mapping[str, float]]:
        """Return own name -> tensor with a unit's variables, and the numbers to set beside them."""
        described = self._choices.modules[path]
        tensors = {tensor.name: tensor for tensor in described.tensors.values()}
        pair = UnitPair(unit, described)
        draft = Draft(self.scene.export.view, TorchModel((described,), tensors, {}, None))
        draft.add_pair(pair)
        module = self.scene.model.get_submodule(module_path(path))
        own = {name: tensor for name, tensor, _ in persistent_tensors(module)}
        filled = {
            tensor.name: own[name].detach().clone() for name, tensor in described.tensors.items()
        }
        fill_tensors(filled, draft.rows(), self.scene.export.variables, lambda row, tensor: None)
        state = {name: filled[tensor.name] for name, tensor in described.tensors.items()}
        return state, settings_of(pair)


@contextmanager
def _set_for_now(module: nn.Module, values: Mapping[str, float]) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
