"""Lets the reference run decide which layer belongs to which module, where a choice is left.

The model runs on TensorFlow's inputs. When a module returns what TensorFlow did not compute there,
it is tried with the variables of every other layer of its kind and shape; the one whose output
TensorFlow recorded is its counterpart, and the run goes on with that. Layers that read the same
tensor all agree at this point; which was right shows later. Then the run is repeated with the next
one, the latest choice first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from stage_load.choices import Choices
from stage_load.devices import full_precision
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.plan import Plan
from stage_load.tf_units import TfUnit
from stage_load.trial import Scene, Trial

MOST_RUNS = 64
"""So many runs of the model at most; each ends where nothing agrees any more."""


@dataclass(frozen=True)
class Decision:
    """What the run found.

    Attributes:
        places: layer index -> module path, of every layer that the run was asked about.
        moved: the layers of them that stand elsewhere than planned.
    """

    places: Mapping[int, str]
    moved: frozenset[int]


def decide(
    export: Export, model: nn.Module, feed: Feed, plan: Plan, tolerance: float
) -> Decision | None:
    """Find the places with which the model computes what TensorFlow did.

    Args:
        export: with a reference run.
        model: loaded as planned.
        feed: how the model takes its inputs.
        plan: whose proof failed.
        tolerance: allowed difference relative to each tensor's scale.

    Returns:
        ``None`` if nothing moves, or if there is no such assignment among the first ``MOST_RUNS``.
    """
    inputs = feed.reference_inputs(export, model)
    choices = Choices.of(export.view, plan)
    if inputs is None or export.reference is None or not choices.groups:
        return None
    scene = Scene(export, export.reference, model, inputs, choices, tolerance)
    with full_precision(), torch.no_grad():
        found = _search(scene)
    if found is None:
        return None
    places = {unit.layer.index: path for path, unit in found.items()}
    moved = frozenset(
        unit.layer.index for path, unit in found.items() if unit is not choices.proposals[path]
    )
    return Decision(places, moved) if moved else None


def _search(scene: Scene) -> dict[str, TfUnit] | None:
    """Return module path -> unit of the first run in which everything agrees, depth first.

    Where the outputs never agree, though every layer does (a model may return its logits), the
    first run is taken that got so far.
    """
    waiting: list[dict[str, TfUnit]] = [{}]
    complete: dict[str, TfUnit] | None = None
    for _ in range(MOST_RUNS):
        if not waiting:
            break
        wanted = waiting.pop()
        trial = Trial(scene, wanted)
        outputs_agree = trial.run()
        if outputs_agree:
            return trial.assignment()
        if outputs_agree is False and complete is None:
            complete = trial.assignment()
        so_far: dict[str, TfUnit] = {}
        for step in trial.steps:
            if step.path not in wanted:
                waiting += [{**so_far, step.path: other} for other in reversed(step.others)]
            so_far[step.path] = step.unit
    return complete
