"""Tensors that no variable fills: their first values, and what a run computes from them.

What depends on such a tensor has no counterpart in TensorFlow's run, and is not compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from stage_load.export_view import ExportView
from stage_load.layouts.rule import Kept
from stage_load.nested_tensors import tensors_within
from stage_load.plan import Plan
from stage_load.torch_units import TorchModel
from stage_load.trace import state_tensors

INITIAL_SEED = 0
_MARK = "_tf1_initialised"


@dataclass(frozen=True)
class Initialised:
    """What of a plan is not TensorFlow's.

    Attributes:
        names: tensors that keep what their constructor made, though it is no constant of theirs.
        layers: layers of the graph of which no variable was loaded.
    """

    names: tuple[str, ...]
    layers: frozenset[int]


NOTHING_INITIALISED = Initialised((), frozenset())


def initialised_of(export: ExportView, model: TorchModel, plan: Plan) -> Initialised:
    """Return what a plan leaves as initialised: not the buffers of modules of no known kind."""
    own = {t.name for unit in model.units if unit.kind is None for t in unit.tensors.values()}
    names = tuple(
        row.torch_name
        for row in plan.rows
        if row.torch_name is not None
        and isinstance(row.rule, Kept)
        and not (row.torch_name in own and model.tensors[row.torch_name].is_buffer)
    )
    loaded = {name for row in plan.rows if row.torch_name is not None for name in row.variables}
    layers = (
        e.index for e in export.layers if e.variables and not loaded & {*e.variables.values()}
    )
    return Initialised(names, frozenset(layers) if names else frozenset())


@contextmanager
def seeded() -> Iterator[None]:
    """Draw the same numbers in every run; afterwards the generators are where they were."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(INITIAL_SEED)
        np.random.seed(INITIAL_SEED)
        torch.manual_seed(INITIAL_SEED)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def fill_initialised(
    model: nn.Module, factory: Callable[[], nn.Module], names: Sequence[str]
) -> None:
    """Give parameters the values of their own constructors, drawn from ``INITIAL_SEED`` on the CPU.

    Args:
        model: takes the values; its parameters may be empty.
        factory: builds such a model.
        names: of its tensors.
    """
    if not names:
        return
    with seeded():
        values = state_tensors(factory())
    targets = state_tensors(model)
    with torch.no_grad():
        for name in names:
            targets[name].copy_(values[name])


class InitialisedWatch(TorchFunctionMode):
    """Marks every tensor that is computed from an initialised one with that one's name."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        origin = initialised_origin((args, kwargs))
        if origin is not None:
            # Into the first argument as well: an assignment to a part of it returns nothing.
            written = args[:1] if getattr(func, "__name__", "") == "__setitem__" else ()
            for tensor in tensors_within((result, written)):
                setattr(tensor, _MARK, origin)
        return result


@contextmanager
def watching_initialised(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Mark what is computed from these tensors while the block runs."""
    if not names:
        yield
        return
    targets = state_tensors(model)
    for name in names:
        setattr(targets[name], _MARK, name)
    try:
        with InitialisedWatch():
            yield
    finally:
        for name in names:
            delattr(targets[name], _MARK)


def initialised_origin(value: Any) -> str | None:
    """Return the name of an initialised tensor that a value depends on, if there is one."""
    marks = (getattr(tensor, _MARK, None) for tensor in tensors_within(value))
    return next((mark for mark in marks if mark is not None), None)


def dependence(origin: str) -> str:
    """Return why what depends on an initialised tensor is not compared."""
    return f"it depends on {origin}, which is left as initialised"
