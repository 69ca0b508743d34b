"""What a result has besides the checkpoint's weights, as its files record it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from stage_load.allowances import Allowances
from stage_load.initialised import INITIAL_SEED, Initialised
from stage_load.jobs import LoadOptions
from stage_load.layouts.adapted import Adapted
from stage_load.mapping import FROM_ADAPTED, FROM_ALLOWED, Row
from stage_load.patterns import Patterns


@dataclass(frozen=True)
class Wishes:
    """The user's patterns, read."""

    allowances: Allowances
    freeze: Patterns

    @classmethod
    def of(cls, options: LoadOptions) -> Wishes:
        """Read a job's options.

        Raises:
            PatternInvalid: one of them is no regular expression.
        """
        allowances = Allowances(
            missing=Patterns("--allow-missing", options.allow_missing),
            unused=Patterns("--allow-unused", options.allow_unused),
            adapt=Patterns("--adapt", options.adapt),
        )
        return cls(allowances, Patterns("--freeze", options.freeze))


def frozen_names(model: nn.Module, freeze: Patterns) -> tuple[str, ...]:
    """Return the parameters that are not to be trained.

    Raises:
        PatternInvalid: a pattern matches no parameter.
    """
    names = (name for name, _ in model.named_parameters(remove_duplicate=False))
    return freeze.matching(names, "parameter of the model")


def transfer_document(
    options: LoadOptions,
    rows: Sequence[Row],
    initialised: Initialised,
    frozen: Sequence[str],
    dtype: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what was wished for and what came of it.

    Args:
        options: with the patterns.
        rows: of the plan.
        initialised: what no variable fills.
        frozen: parameters that ``load_model`` does not train.
        dtype: of the result: its name, how much was rounded, how far the outputs moved.
    """
    left_out = (
        row.tf_name
        for row in rows
        if row.torch_name is None and row.how in (FROM_ALLOWED, FROM_ADAPTED)
    )
    return {
        "allow_missing": list(options.allow_missing),
        "allow_unused": list(options.allow_unused),
        "adapt": list(options.adapt),
        "freeze": list(options.freeze),
        "initialised": {"seed": INITIAL_SEED, "tensors": list(initialised.names)},
        "left_out": [name for name in left_out if name is not None],
        "adapted": {
            str(row.torch_name): str(row.rule) for row in rows if isinstance(row.rule, Adapted)
        },
        "frozen": list(frozen),
        "dtype": None if dtype is None else dict(dtype),
    }


def dtype_notes(dtype: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what rounding has cost, as a sentence; none where nothing was rounded."""
    if dtype is None:
        return ()
    name, again = dtype["name"], dtype["again"]
    text = f"Weights stored in {name}: largest change {dtype['max_abs_rounding']:.3g}"
    text += f" ({dtype['tensor']}); " if dtype["tensor"] else "; "
    if again["reason"] is not None:
        return (f"{text}not compared in {name}: {again['reason']}.",)
    verb = "agree" if again["agrees"] else "DIFFER"
    difference = "" if again["max_rel"] is None else f"largest difference {again['max_rel']:.3g}, "
    return (f"{text}outputs {verb} in {name}: {difference}allowed {again['tolerance']:.3g}.",)
