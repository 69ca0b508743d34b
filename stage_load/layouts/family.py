"""What a layout file provides: one family of operations, its roles and their axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stage_load.layouts.rule import Constant, Rule

VECTOR_AXES = ("C", "1C", "11C", "111C", "1111C", "1C1", "1C11", "1C111")
"""How graphs hold one value a channel: plain, or shaped so that it broadcasts."""


@dataclass(frozen=True)
class Layout:
    """How one role's variable becomes one torch tensor.

    Attributes:
        role: ``"kernel"``, ``"bias"`` ... as the contract names it.
        parameter: the torch module's own name of the tensor, ``"weight"`` ...
        source_axes: axes in TensorFlow.
        target_axes: axes in torch.
    """

    role: str
    parameter: str
    source_axes: str
    target_axes: str


@dataclass(frozen=True)
class Fill:
    """One torch tensor, or a part of one, that a variable fills by a rule."""

    parameter: str
    rule: Rule


Attributes = Mapping[str, Any]
Shapes = Mapping[str, tuple[int, ...]]
"""Role -> the variable's shape."""


def vector_layouts(role: str, parameter: str) -> tuple[Layout, ...]:
    """Return the rows of a role that has one value a channel."""
    return tuple(Layout(role, parameter, axes, "C") for axes in VECTOR_AXES)


def no_refinement(role: str, rule: Rule, attributes: Mapping[str, Any]) -> Rule:
    """Leave a rule as the table gives it."""
    del role, attributes
    return rule


def no_settings(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Set nothing on the module."""
    del attributes
    return {}


def epsilon_setting(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return ``eps`` for a module that adds it to a variance, as far as the graph tells it."""
    epsilon = attributes.get("epsilon")
    return {} if epsilon is None else {"eps": float(epsilon)}


@dataclass(frozen=True)
class Family:
    """One kind of operation: the rows of its roles.

    Attributes:
        op_kind: the contract's name of the kind.
        layouts: one row a role and source layout.
        defaults: role -> the number that stands for an absent variable.
        buffers: torch tensors of the module that no variable fills -> their starting value.
        refine: makes a rule of a row's axes more precise from the layer's attributes.
        settings: numbers to set on the module, by its own names, from the layer's attributes.
        fills: instead of rows, for a kind whose variables are taken apart: role -> what it fills.
            It raises RuleError where torch computes something else.
        constants: of such a kind, the torch tensors, or parts of them, that no variable fills.
    """

    op_kind: str
    layouts: tuple[Layout, ...]
    defaults: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    buffers: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    refine: Callable[[str, Rule, Mapping[str, Any]], Rule] = no_refinement
    settings: Callable[[Mapping[str, Any]], dict[str, float]] = no_settings
    fills: Callable[[Attributes, Shapes], Mapping[str, tuple[Fill, ...]]] | None = None
    constants: Callable[[Attributes, Shapes], tuple[tuple[str, Constant], ...]] | None = None

    @property
    def parameters(self) -> Mapping[str, str]:
        """Role -> the torch module's own name of the tensor."""
        return {layout.role: layout.parameter for layout in self.layouts}


@dataclass(frozen=True)
class Refusal:
    """A kind that has no layout rule here, and why."""

    op_kind: str
    reason: str
