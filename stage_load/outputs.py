"""Compares what a model returned with the outputs of TensorFlow's graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from stage_load.align import Element, align
from stage_load.axes import to_tf
from stage_load.channels import graph_is_channels_first, moves_channels
from stage_load.comparison import Comparison, compare
from stage_load.export_reader import Export, reference_layers
from stage_load.export_view import ExportView, split_tensor
from stage_load.initialised import dependence, initialised_origin
from stage_load.nested_tensors import tensors_within
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.samples import take_sample
from stage_load.tensors import to_numpy
from stage_load.verdict import NotCompared, OutputParity

# What a graph does to the scores at its very end, and a torch model often leaves to its caller.
_LAST_STEPS = frozenset(
    {
        "ArgMax",
        "Cast",
        "ExpandDims",
        "LogSoftmax",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Squeeze",
        "Tanh",
    }
)


def compare_outputs(
    export: Export,
    reference: SafetensorsReader,
    model: nn.Module,
    result: Any,
    tolerance: float,
) -> tuple[tuple[OutputParity, ...], tuple[NotCompared, ...]]:
    """Compare what the model returned, in order, with the outputs of the graph.

    A model that returns its scores where the graph goes on (a softmax) is compared with the scores,
    and the graph's own output counts as not compared. What depends on a tensor that was left as
    initialised is compared with nothing.
    """
    names = tuple(getattr(model, "tf1_outputs", None) or export.view.reference["outputs"])
    returned = list(tensors_within(result))
    values = [value for value in returned if initialised_origin(value) is None]
    origin = initialised_origin(returned)
    compared = _Compared(export, reference, values, tolerance)
    fed = {feed["tensor"] for feed in export.view.reference["feeds"]}
    found, instead = [], {}
    for name, position in _paired(names, values, reference):
        if name in reference.entries and name not in fed:
            output, steps = compared.output(name, position)
            found.append(output)
            if steps:
                instead[name] = f"the model returns {output.tensor}, before {' and '.join(steps)}"
    done = {output.tensor for output in found}
    wanted = dict.fromkeys((*names, *export.view.reference["outputs"]))
    absent = f"the model returns {len(values)} tensors, none of them is this"
    reasons = {name: instead.get(name, absent) for name in wanted if name not in done}
    reasons |= {name: "it is an input, handed on as it is" for name in reasons if name in fed}
    excuse = None if origin is None else dependence(origin)
    missing = tuple(
        NotCompared(None, name, excuse or reason, excuse is not None)
        for name, reason in reasons.items()
    )
    return tuple(found), missing


def outputs_agree(
    export: Export,
    reference: SafetensorsReader,
    model: nn.Module,
    result: Any,
    tolerance: float,
) -> bool:
    """Whether all that a model returned, and that can be compared, agrees with TensorFlow's."""
    outputs, _ = compare_outputs(export, reference, model, result, tolerance)
    return all(output.comparison.agrees for output in outputs)


@dataclass(frozen=True)
class _Compared:
    """What one run of the model returned, compared with single tensors of the reference."""

    export: Export
    reference: SafetensorsReader
    values: Sequence[Tensor]
    tolerance: float

    def output(self, name: str, position: int) -> tuple[OutputParity, list[str]]:
        """Compare one output; also return the steps that the model leaves to its caller."""
        comparison = self._with(name, position)
        if comparison.agrees:
            return OutputParity(name, comparison), []
        others = (i for i in range(len(self.values)) if i != position)
        fitting = (i for i in others if self._with(name, i).agrees)
        comparison = _with_place(comparison, next(fitting, None))
        for earlier, steps in self._before(name):
            again = self._with(earlier, position)
            if again.agrees:
                return OutputParity(earlier, again), steps
        return OutputParity(name, comparison), []

    def _with(self, name: str, position: int) -> Comparison:
        expected = self.reference.read(name)
        value = self.values[position]
        moves = moves_channels(self.export.view, name, value.dim())
        moved = to_tf(value, expected.shape, moves=moves)
        actual = to_numpy(_with_ones(moved, expected.shape))
        channels_first = graph_is_channels_first(self.export.view)
        sample = take_sample(expected, actual, channels_first=channels_first)
        return replace(compare(expected, actual, self.tolerance), sample=sample)

    def _before(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Yield recorded tensors that the output is computed from, with the steps in between."""
        view = self.export.view
        recorded = reference_layers(view.reference, view.layers)
        known = {tensor for tensor, reason in recorded.values() if reason is None}
        steps: list[str] = []
        for tensor, step in _last_steps(view, name):
            if step not in ("Reshape", "Squeeze", "ExpandDims", "Cast"):
                steps.insert(0, step)
            if tensor in known and steps:
                yield tensor, steps


def _last_steps(view: ExportView, name: str) -> Iterator[tuple[str, str]]:
    """Yield each tensor before an output, nearest first, with the op that lies after it."""
    tensor = view.source(name)
    while (node := view.nodes.get(split_tensor(tensor)[0])) is not None:
        if node.op not in _LAST_STEPS:
            return
        tensor = view.source(node.inputs[0])
        yield tensor, node.op


def _with_ones(value: Tensor, expected: Sequence[int]) -> Tensor:
    """Give ``value`` the axes of size one that TensorFlow's tensor has, and no others."""
    sizes, wanted = ([n for n in shape if n != 1] for shape in (value.shape, expected))
    return value.reshape(*expected) if value.dim() != len(expected) and sizes == wanted else value


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
    """Return what a shape has in common with its image in other axes, with or without ones."""
    return tuple(sorted(size for size in shape if size != 1))


def _with_place(comparison: Comparison, position: int | None) -> Comparison:
    if position is None:
        return comparison
    hint = (
        f"number {position + 1} of what the model returns agrees with it: "
        "name the outputs in the model's order in its attribute tf1_outputs"
    )
    return replace(comparison, reason=f"{comparison.reason}; {hint}")
