"""Lets the reference run decide which layer belongs to which module, where a choice is left.

The model runs on TensorFlow's inputs. When a module returns what TensorFlow did not compute there,
it is tried with the variables of every other layer of its kind and shape; the one whose output
TensorFlow recorded is its counterpart, and the run goes on with that. Layers that read the same
tensor all agree at this point; which was right shows later. Then the run is repeated with the next
one, the latest choice first.
"""

from __future__ import annotations

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


def decide(
    export: Export, model: nn.Module, feed: Feed, plan: Plan, tolerance: float
) -> dict[int, str] | None:
    """Find the places with which the model computes what TensorFlow did.

    Args:
        export: with a reference run.
        model: loaded as planned.
        feed: how the model takes its inputs.
        plan: whose proof failed.
        tolerance: allowed difference relative to each tensor's scale.

    Returns:
        Layer index -> module path, of every layer that moves; ``None`` if there is no such
        assignment, or none among the first ``MOST_RUNS``.
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
    proposed = {path: unit.layer.index for path, unit in choices.proposals.items()}
    return {
        unit.layer.index: path for path, unit in found.items() if proposed[path] != unit.layer.index
    } or None


def _search(scene: Scene) -> dict[str, TfUnit] | None:
    """Return module path -> unit of the first run in which everything agrees, depth first."""
    waiting: list[dict[str, TfUnit]] = [{}]
    for _ in range(MOST_RUNS):
        if not waiting:
            return None
        wanted = waiting.pop()
        trial = Trial(scene, wanted)
        if trial.succeeds():
            return trial.assignment()
        so_far: dict[str, TfUnit] = {}
        for step in trial.steps:
            if step.path not in wanted:
                waiting += [{**so_far, step.path: other} for other in reversed(step.others)]
            so_far[step.path] = step.unit
    return None
