"""Runs the loaded model on TensorFlow's inputs and compares what it returns with TensorFlow's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.align import Element, align
from stage_load.axes import graph_is_channels_first, image_to_tf
from stage_load.comparison import Comparison, compare
from stage_load.devices import full_precision
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.layer_run import LayerRun, Progress
from stage_load.plan import LayerPlace
from stage_load.running import ModelRaised, foreign_code
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import to_numpy
from stage_load.verdict import (
    FAILED,
    NotCompared,
    OutputParity,
    Parity,
    judge,
    unproven,
    without_misplaced,
)


def prove(
    export: Export,
    model: nn.Module,
    feed: Feed,
    places: Sequence[LayerPlace],
    tolerance: float,
    progress: Progress,
    *,
    weights_are_finite: bool,
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
    """
    reference = export.reference
    inputs = feed.reference_inputs(export, model)
    if reference is None or inputs is None:
        reason = export.view.reference["reason"] or "the export has no reference run"
        return unproven(str(reason), tolerance)
    run = LayerRun(export, reference, places, tolerance, progress)
    with full_precision(), torch.inference_mode(), run.watching(model):
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
            )
        outputs, missing = _compare_outputs(export, reference, model, result, tolerance)
    parity = judge(run.layers(), outputs, (*run.not_compared(), *missing), tolerance)
    return parity if weights_are_finite else without_misplaced(parity)


def outputs_agree(
    export: Export,
    reference: SafetensorsReader,
    model: nn.Module,
    result: Any,
    tolerance: float,
) -> bool:
    """Whether all that a model returned, and that can be compared, agrees with TensorFlow's."""
    outputs, _ = _compare_outputs(export, reference, model, result, tolerance)
    return all(output.comparison.agrees for output in outputs)


def _compare_outputs(
    export: Export,
    reference: SafetensorsReader,
    model: nn.Module,
    result: Any,
    tolerance: float,
) -> tuple[tuple[OutputParity, ...], tuple[NotCompared, ...]]:
    """Compare what the model returned, in order, with the outputs of the graph."""
    names = tuple(getattr(model, "tf1_outputs", None) or export.view.reference["outputs"])
    values = _tensors_of(result)
    fed = {feed["tensor"] for feed in export.view.reference["feeds"]}
    channels_first = graph_is_channels_first(export.view)

    def compared(name: str, value: Tensor) -> Comparison:
        expected = reference.read(name)
        moved = image_to_tf(value, expected.shape, channels_first=channels_first)
        return compare(expected, to_numpy(moved), tolerance)

    found = []
    for name, position in _paired(names, values, reference):
        if name in reference.entries and name not in fed:
            comparison = compared(name, values[position])
            if not comparison.agrees:
                others = ((i, v) for i, v in enumerate(values) if i != position)
                fitting = (i for i, value in others if compared(name, value).agrees)
                comparison = _with_place(comparison, next(fitting, None))
            found.append(OutputParity(name, comparison))
    done = {output.tensor for output in found}
    wanted = dict.fromkeys((*names, *export.view.reference["outputs"]))
    absent = f"the model returns {len(values)} tensors, none of them is this"
    missing = tuple(
        NotCompared(None, name, "it is an input, handed on as it is" if name in fed else absent)
        for name in wanted
        if name not in done
    )
    return tuple(found), missing


def _paired(
    names: Sequence[str], values: Sequence[Tensor], reference: SafetensorsReader
) -> list[tuple[str, int]]:
    """Pair outputs with what the model returned: by shape, in order; the rest in order alone.

    So a model that returns its features as well, or lacks a head, is compared where it can be.
    """
    entries = (reference.entries.get(name) for name in names)
    left = [Element(None if e is None else _sizes(e.shape), "") for e in entries]
    right = [Element(_sizes(value.shape), "") for value in values]
    pairs = align(left, right)
    lefts, rights = {i for i, _ in pairs}, {j for _, j in pairs}
    rest = zip(
        (i for i in range(len(left)) if i not in lefts),
        (j for j in range(len(right)) if j not in rights),
        strict=False,
    )
    return [(names[i], j) for i, j in sorted((*pairs, *rest))]


def _sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return what a shape has in common with its image in other axes."""
    return tuple(sorted(shape))


def _with_place(comparison: Comparison, position: int | None) -> Comparison:
    if position is None:
        return comparison
    hint = (
        f"number {position + 1} of what the model returns agrees with it: "
        "name the outputs in the model's order in its attribute tf1_outputs"
    )
    return replace(comparison, reason=f"{comparison.reason}; {hint}")


def _tensors_of(result: Any) -> list[Tensor]:
    """Return the tensors of a model's result, in order: a tensor, a sequence, or a mapping."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, list | tuple):
        return [tensor for value in result for tensor in _tensors_of(value)]
    return []
