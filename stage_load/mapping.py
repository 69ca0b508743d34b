"""The mapping: one row a tensor, what the plan decides and what ``mapping.csv`` shows."""

from __future__ import annotations

from dataclasses import dataclass

from stage_load.layouts.folded import Folded
from stage_load.layouts.rule_text import AnyRule

FROM_GRAPH = "graph"
FROM_GUESS = "guessed"
FROM_MAP = "map"
FROM_RULE = "rule"
FROM_ALLOWED = "allowed"
FROM_ADAPTED = "adapted"
FROM_UNREAD = "unread"
FROM_MODEL = "model"
FROM_NAME = "name"
FROM_CONSTANT = "constant"
FROM_REFERENCE = "reference"
FROM_FOLD = "folded"
PROPOSED = "proposed"

HOW = (
    FROM_GRAPH,
    FROM_GUESS,
    FROM_MAP,
    FROM_RULE,
    FROM_MODEL,
    FROM_NAME,
    FROM_CONSTANT,
    FROM_REFERENCE,
    FROM_FOLD,
    FROM_ALLOWED,
    FROM_ADAPTED,
    FROM_UNREAD,
)
"""How a row was found: by the graph's order, by guessed kinds, by the user's file, by the user's
rules, by the model's own names, by equal names, as numbers that stand for an absent variable, by
the reference run, by taking a batch norm or a bias into its neighbour, by --allow-missing or
--allow-unused, by --adapt, or not at all, where no operation of the graph reads a variable."""

DECIDED = frozenset({FROM_MAP, FROM_RULE, FROM_MODEL})
"""Decided by somebody, so that nothing else may take their place."""


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

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that the row takes: its own first."""
        own = () if self.tf_name is None else (self.tf_name,)
        return (*own, *self.rule.variables) if isinstance(self.rule, Folded) else own


@dataclass(frozen=True, slots=True)
class Given:
    """A row that somebody has decided: the user's file or the model itself.

    ``rule`` is ``None`` where the kind of operation shall decide.
    """

    tf_name: str | None
    torch_name: str | None
    rule: AnyRule | None
    how: str
