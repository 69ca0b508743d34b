"""Watches how the modules of a running torch model feed each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from stage_load.dataflow import Dataflow
from stage_load.nested_tensors import tensors_within

_JOINS = frozenset({torch.cat, torch.concat, torch.concatenate, torch.stack})
_MARK = "_tf1_expression"


class DataflowWatch(TorchFunctionMode):
    """Marks every tensor with the expression that reaches it, while a model runs within it.

    Attributes:
        flow: what was seen, units named by their module's path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flow = Dataflow()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = list(tensors_within(result))
        if outputs:
            parts = [*_marks(args), *_marks(kwargs or {})]
            number = self.flow.join(parts) if func in _JOINS else self.flow.mix(parts)
            _mark(outputs, number)
        return result

    def starts(self, inputs: Iterable[Tensor]) -> None:
        """Mark what is fed to the network."""
        _mark(inputs, self.flow.network_input())

    def enters(self, path: str, args: Any, kwargs: Any) -> None:
        """Note what reaches a module at its first call."""
        number = self.flow.mix([*_marks(args), *_marks(kwargs)])
        if number is not None:
            self.flow.reaches.setdefault(path, number)

    def leaves(self, path: str, output: Any) -> None:
        """Mark what a module returns."""
        _mark(tensors_within(output), self.flow.unit(path))


def _mark(tensors: Iterable[Tensor], number: int | None) -> None:
    if number is not None:
        for tensor in tensors:
            setattr(tensor, _MARK, number)


def _marks(values: Any) -> Iterator[int]:
    for tensor in tensors_within(values):
        number = getattr(tensor, _MARK, None)
        if number is not None:
            yield number
