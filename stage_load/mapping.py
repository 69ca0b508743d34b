"""The mapping: one row a tensor, what the plan decides and what ``mapping.csv`` shows."""

from __future__ import annotations

from dataclasses import dataclass

from stage_load.layouts.rule import AnyRule

FROM_GRAPH = "graph"
FROM_GUESS = "guessed"
FROM_MAP = "map"
FROM_MODEL = "model"
FROM_NAME = "name"
FROM_CONSTANT = "constant"
FROM_REFERENCE = "reference"
PROPOSED = "proposed"

HOW = (FROM_GRAPH, FROM_GUESS, FROM_MAP, FROM_MODEL, FROM_NAME, FROM_CONSTANT, FROM_REFERENCE)
"""How a row was found: by the graph's order, by guessed kinds, by the user's file, by the model's
own names, by equal names, as numbers that stand for an absent variable, or by the reference run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor's way from TensorFlow to torch.

    Attributes:
        tf_name: the variable; ``None`` for a torch tensor that no variable fills.
        torch_name: the state dict's name; ``None`` for a variable that stays out.
        rule: what happens to the axes, or what stands there instead.
        tf_shape: in TensorFlow's axes.
        torch_shape: in torch's axes.
        how: one of ``HOW``.
        confidence: how sure the match is, 0 to 1; ``None`` where nothing was matched.
    """

    tf_name: str | None
    torch_name: str | None
    rule: AnyRule
    tf_shape: tuple[int, ...] | None
    torch_shape: tuple[int, ...] | None
    how: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A row that somebody has decided: the user's file or the model itself.

    ``rule`` is ``None`` where the kind of operation shall decide.
    """

    tf_name: str | None
    torch_name: str | None
    rule: AnyRule | None
    how: str
