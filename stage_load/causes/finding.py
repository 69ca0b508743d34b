"""Looks for why a loaded model computes something else than TensorFlow did.

The first layer that differs is examined: its input first, then the layer itself. A cause is certain
where the numbers agree once it is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.causes.activation import activation_cause
from stage_load.causes.between import between_cause
from stage_load.causes.cause import Suspect
from stage_load.causes.norm import norm_cause
from stage_load.causes.order import order_cause
from stage_load.causes.padding import padding_cause
from stage_load.devices import full_precision
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.running import ModelRaised, foreign_code
from stage_load.torch_units import module_path
from stage_load.verdict import FAILED, Cause, LayerParity, Parity

_OF_THE_LAYER: tuple[Callable[[Suspect], Cause | None], ...] = (
    activation_cause,
    padding_cause,
    norm_cause,
    order_cause,
)


def find_causes(export: Export, model: nn.Module, feed: Feed, parity: Parity) -> tuple[Cause, ...]:
    """Return the known causes of a failed proof, none where nothing is known.

    Args:
        export: with a reference.
        model: loaded, in eval mode.
        feed: how the model takes its inputs.
        parity: what the proof has found.
    """
    inputs = feed.reference_inputs(export, model)
    first = parity.first_differing_layer
    reference = export.reference
    if parity.verdict != FAILED or inputs is None or reference is None:
        return ()
    with full_precision(), torch.inference_mode():
        place = None if first is None else (first.module, first.call)
        try:
            runs = [_watch(model, inputs, place) for _ in range(2)]
        except ModelRaised:
            return ()
        random = _random_cause(runs[0], runs[1], first)
        if random is not None:
            return (random,)
        if first is None or runs[0].given is None or runs[0].returned is None:
            return ()
        suspect = Suspect(
            export=export,
            layer=export.view.layers[first.layer],
            module=model.get_submodule(module_path(first.module)),
            path=first.module,
            given=runs[0].given,
            returned=runs[0].returned,
            expected=reference.read(first.tensor),
            tolerance=parity.tolerance,
        )
        before = between_cause(suspect, reference)
        if before is not None and before.is_certain:
            return (before,)
        of_the_layer = (find(suspect) for find in _OF_THE_LAYER)
        found = next((cause for cause in of_the_layer if cause is not None), before)
        return () if found is None else (found,)


@dataclass
class _Watched:
    """What one call of a module was given and returned, and what the model returned."""

    result: Any = None
    given: Tensor | None = None
    returned: Tensor | None = None


def _watch(model: nn.Module, inputs: tuple[Tensor, ...], place: tuple[str, int] | None) -> _Watched:
    """Run the model and keep what happens at a place: a module's path, number of the call."""
    watched = _Watched()
    calls = 0

    def keep(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        nonlocal calls
        del module
        if place is not None and calls == place[1]:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            watched.given = tensors[0] if tensors else None
            watched.returned = output.clone() if isinstance(output, Tensor) else None
        calls += 1

    def before(module: nn.Module, args: Any) -> Any:
        # A later activation that works in place must not change what is kept.
        del module
        return tuple(value.clone() if isinstance(value, Tensor) else value for value in args)

    with ExitStack() as context:
        if place is not None:
            module = model.get_submodule(module_path(place[0]))
            context.callback(module.register_forward_pre_hook(before).remove)
            context.callback(module.register_forward_hook(keep, with_kwargs=True).remove)
        with foreign_code():
            watched.result = model(*inputs)
    return watched


def _random_cause(one: _Watched, other: _Watched, first: LayerParity | None) -> Cause | None:
    """Tell whether two runs on one input differ."""
    if first is not None:
        pairs = [(one.returned, other.returned)]
    else:
        pairs = list(zip(_tensors(one.result), _tensors(other.result), strict=False))
    same = all(a is None or b is None or torch.equal(a, b) for a, b in pairs)
    if same:
        return None
    where = "the output" if first is None else first.module
    text = f"two runs of the model on one input differ at {where}: dropout or noise is on"
    remedy = "Use nn.Dropout, or F.dropout(..., training=self.training)"
    return Cause("random", where, text, remedy, True)


def _tensors(result: Any) -> list[Tensor | None]:
    if isinstance(result, Tensor):
        return [result]
    values = list(result.values()) if hasattr(result, "values") else result
    return (
        [t for value in values for t in _tensors(value)] if isinstance(values, list | tuple) else []
    )
