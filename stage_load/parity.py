"""Runs the loaded model on TensorFlow's inputs and compares what it returns with TensorFlow's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stage_load.devices import full_precision
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.initialised import NOTHING_INITIALISED, Initialised, watching_initialised
from stage_load.layer_run import LayerRun, Progress
from stage_load.outputs import compare_outputs
from stage_load.plan import LayerPlace
from stage_load.running import ModelRaised, foreign_code
from stage_load.verdict import FAILED, Parity, judge, unproven, without_misplaced


def prove(
    export: Export,
    model: nn.Module,
    feed: Feed,
    places: Sequence[LayerPlace],
    tolerance: float,
    progress: Progress,
    *,
    weights_are_finite: bool,
    initialised: Initialised = NOTHING_INITIALISED,
) -> Parity:
    """Run the loaded model and compare outputs and layers with TensorFlow's.

    Args:
        export: with a reference.
        model: loaded, in eval mode.
        feed: how the model takes its inputs.
        places: where each layer runs.
        tolerance: allowed difference relative to each tensor's scale.
        progress: called with (compared, all) layers.
        weights_are_finite: the checkpoint holds neither NaN nor infinity.
        initialised: what of the model is not TensorFlow's, and so is not compared.
    """
    reference = export.reference
    inputs = feed.reference_inputs(export, model)
    if reference is None or inputs is None:
        reason = export.view.reference["reason"] or "the export has no reference run"
        return unproven(str(reason), tolerance)
    run = LayerRun(export, reference, places, tolerance, progress, initialised)
    watched = watching_initialised(model, initialised.names)
    with full_precision(), torch.inference_mode(), watched, run.watching(model):
        try:
            with foreign_code():
                result = model(*inputs)
        except ModelRaised as error:
            return Parity(
                FAILED,
                f"the model fails on TensorFlow's inputs: {error}",
                tolerance,
                run.layers(),
                (),
                run.not_compared(),
                traceback=error.lines,
            )
        outputs, missing = compare_outputs(export, reference, model, result, tolerance)
    parity = judge(run.layers(), outputs, (*run.not_compared(), *missing), tolerance)
    return parity if weights_are_finite else without_misplaced(parity)
