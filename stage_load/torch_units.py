"""The torch side of the plan as plain data: modules that hold tensors, in the order they run."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from stage_load.dataflow import Dataflow


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """One tensor of the state dict; ``is_buffer`` tells buffers from parameters."""

    name: str
    shape: tuple[int, ...]
    is_buffer: bool


@dataclass(frozen=True, slots=True)
class TorchUnit:
    """One module that holds tensors itself.

    Attributes:
        path: its name in the model; empty for the model itself. Of a recurrent module with several
            layers or directions, each is a unit, named ``"rnn:l1"`` or ``"rnn:l0_reverse"``.
        kind: the op kind that it is the torch counterpart of; ``None`` for a module of no known
            family, whose tensors keep the axes that its author gave them.
        tensors: own name (``"weight"``) -> tensor; a tied one under its first name in the model.
        calls: how often it ran; 0 when it did not, or the model was not run.
        epsilon: the module's own ``eps``, if it has one.
        groups: of a convolution or a group norm.
    """

    path: str
    kind: str | None
    tensors: Mapping[str, TorchTensor]
    calls: int
    epsilon: float | None = None
    groups: int = 1

    @property
    def is_reverse(self) -> bool:
        """Whether it is the direction of a recurrent module that runs backwards."""
        return ":" in self.path and self.path.endswith("_reverse")


def module_path(path: str) -> str:
    """Return the name of the module that a unit is, or belongs to."""
    return path.partition(":")[0]


@dataclass(frozen=True)
class TorchModel:
    """What the plan knows of a model.

    Attributes:
        units: in the order in which they first run, those that never ran last.
        tensors: every tensor of the state dict by name; of tied ones the first name only.
        aliases: other names of tied tensors -> the first name.
        order_note: why the model was not run, so that the units stand in the order of their
            definition; ``None`` when it was.
        flow: how the units feed each other, by path; ``None`` when the model was not run.
    """

    units: tuple[TorchUnit, ...]
    tensors: Mapping[str, TorchTensor]
    aliases: Mapping[str, str]
    order_note: str | None
    flow: Dataflow | None = None


def unit_key(kind: str, shapes: Mapping[str, tuple[int, ...]], groups: int) -> Hashable:
    """Return what two counterparts have in common: kind, and the shape of what weighs most.

    Args:
        kind: op kind.
        shapes: own name of the torch tensor -> its shape in torch's axes.
        groups: of a convolution; two of one kernel's shape may differ in them.
    """
    if kind == "batch_norm":
        # gamma, beta and statistics have one shape, and either of them may be absent.
        return kind, next(iter(shapes.values()), None)
    if kind == "other":
        return kind, tuple(sorted(shapes.values()))
    if "weight_ih" in shapes:
        return kind, (shapes["weight_ih"], shapes.get("weight_hh"), shapes.get("weight_hr"))
    if "weight_ih" in shapes:
        return kind, tuple(shapes.get(name) for name in ("weight_ih", "weight_hh", "weight_hr"))
    return kind, shapes.get("weight", shapes.get("bias")), groups
