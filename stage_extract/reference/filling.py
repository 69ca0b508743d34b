"""Gives the variables of an imported graph their values, by TensorFlow's restore op or by feeding.

The graph's own restore op is not used: it fills every variable of the training program, and its
name differs from graph to graph.
"""

from __future__ import annotations

import abc
from contextlib import closing
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import tensorflow
from tensorflow.python import pywrap_tensorflow

from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.reference.variables import VariableSource
from stage_extract.source import Source

# TensorFlow holds what one step of filling reads until all of it is assigned.
GROUP_BYTES = 64 * 2**20

_compat = tensorflow.compat.v1


class Fill(NamedTuple):
    """One step of filling.

    Attributes:
        operations: what to run.
        feeds: gives the values to feed meanwhile, by TensorFlow's tensors.
    """

    operations: List[Any]
    feeds: Callable[[], Mapping[Any, Any]]


class Filler(abc.ABC):
    """Knows the values of a checkpoint's variables."""

    @abc.abstractmethod
    def variables(self) -> List[VariableInfo]:
        """Give what the checkpoint holds, sorted by name."""

    @abc.abstractmethod
    def _add_group(self, graph: Any, group: Sequence[VariableSource]) -> Fill:
        """Add the ops that fill some variables to TensorFlow's graph, which is the default."""

    def prepare(self, graph: Any, sources: Sequence[VariableSource]) -> List[Fill]:
        """Add ops to a TensorFlow graph that fill its variables.

        Returns:
            Steps, to be run one after the other so that only `GROUP_BYTES` (or one larger variable)
            are held twice.
        """
        with graph.as_default():
            return [self._add_group(graph, group) for group in _groups(graph, sources)]


class RestoringFiller(Filler):
    """Lets TensorFlow's RestoreV2 read a V2 checkpoint.

    Args:
        prefix: the checkpoint.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def variables(self) -> List[VariableInfo]:
        """Give what the checkpoint holds, as TensorFlow's reader sees it, sorted by name."""
        reader = pywrap_tensorflow.NewCheckpointReader(self._prefix)
        dtypes: Mapping[str, Any] = reader.get_variable_to_dtype_map()
        shapes: Mapping[str, Sequence[int]] = reader.get_variable_to_shape_map()
        return [
            VariableInfo(name, dtypes[name].name, tuple(shape))
            for name, shape in sorted(shapes.items())
        ]

    def _add_group(self, graph: Any, group: Sequence[VariableSource]) -> Fill:
        operations = [graph.get_operation_by_name(source.node) for source in group]
        values: Tuple[Any, ...] = tensorflow.raw_ops.RestoreV2(
            prefix=self._prefix,
            tensor_names=[source.key for source in group],
            shape_and_slices=[source.slice for source in group],
            dtypes=[_dtype(operation) for operation in operations],
        )
        return Fill(list(map(_assign, operations, values)), dict)


class FeedingFiller(Filler):
    """Feeds what this program's own reader of the format reads.

    Args:
        open_reader: opens that reader.
    """

    def __init__(self, open_reader: Callable[[], VariableReader]) -> None:
        self._open_reader = open_reader

    def variables(self) -> List[VariableInfo]:
        """Give what the checkpoint holds, sorted by name."""
        with closing(self._open_reader()) as reader:
            return reader.variables()

    def _add_group(self, graph: Any, group: Sequence[VariableSource]) -> Fill:
        operations = [graph.get_operation_by_name(source.node) for source in group]
        holders = [_compat.placeholder(_dtype(operation)) for operation in operations]

        def feeds() -> Dict[Any, Any]:
            with closing(self._open_reader()) as reader:
                return {
                    holder: cut(_read(reader, source.key), source.slice)
                    for holder, source in zip(holders, group)
                }

        return Fill(list(map(_assign, operations, holders)), feeds)


def _read(reader: VariableReader, name: str) -> Any:
    value = reader.read(name)
    is_bits = reader.info(name).dtype == tensorflow.bfloat16.name
    return value.view(tensorflow.bfloat16.as_numpy_dtype) if is_bits else value


def filler_of(source: Source) -> Filler:
    """Give the filler for a source: TensorFlow's own where it can read the format."""
    if source.restore_prefix is not None and not source.renamed:
        return RestoringFiller(source.restore_prefix)
    return FeedingFiller(source.open_reader)


def cut(whole: Any, slice_text: str) -> Any:
    """Give the part of an array that TensorFlow's text names ("10 4 0,5:-": rows 0 to 4)."""
    if not slice_text:
        return whole
    extents = slice_text.split(" ")[-1].split(":")
    return whole[tuple(_extent(text) for text in extents)]


def _extent(text: str) -> slice:
    if text == "-":
        return slice(None)
    start, length = map(int, text.split(","))
    return slice(start, start + length)


def _groups(graph: Any, sources: Sequence[VariableSource]) -> List[List[VariableSource]]:
    groups: List[List[VariableSource]] = []
    room = 0
    for source in sources:
        size = _size_bytes(graph.get_operation_by_name(source.node))
        if not groups or size is None or size > room:
            groups.append([])
            room = GROUP_BYTES
        groups[-1].append(source)
        room -= size or 0
    return groups


def _size_bytes(operation: Any) -> Optional[int]:
    elements = tensorflow.TensorShape(operation.get_attr("shape")).num_elements()
    return None if elements is None else int(elements * operation.get_attr("dtype").size)


def _dtype(operation: Any) -> Any:
    return operation.get_attr("dtype").base_dtype


def _assign(operation: Any, value: Any) -> Any:
    variable = operation.outputs[0]
    if operation.type == "VarHandleOp":
        return tensorflow.raw_ops.AssignVariableOp(resource=variable, value=value)
    return tensorflow.raw_ops.Assign(ref=variable, value=value).op
