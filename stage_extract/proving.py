"""What needs TensorFlow to compute: the reference run, and kernels that are made of variables."""

from __future__ import annotations

from typing import List, Sequence

from stage_extract.graph.describe import Description
from stage_extract.graph.remarks import SHAPES_UNKNOWN
from stage_extract.jobs import ExtractOptions
from stage_extract.reader_choice import is_pure
from stage_extract.reference.result import ReferenceResult, ReferenceUnavailable, absent
from stage_extract.source import GraphFile, Source
from stage_extract.writing.safetensors_writer import TensorEntry

NOT_PROVEN = (
    "not proven here, for it was read without TensorFlow: `orchestrate.py extract CKPT --reader "
    "tf` on an x86-64 machine with AVX makes an export with a reference run, and "
    "`orchestrate.py load` proves that anywhere"
)


def left_to_tensorflow(description: Description) -> List[str]:
    """Tell what TensorFlow's reader may describe besides; nothing where this process has it.

    Whoever compares this export with one by TensorFlow's reader learns where both may differ.
    """
    if not is_pure():
        return []
    found = []
    if SHAPES_UNKNOWN in description.warnings:
        found.append("the shapes of a graph that was saved without them")
    if description.folded:
        found.append("kernels that the graph computes from variables")
    return found


def with_static_shapes(graph: GraphFile) -> GraphFile:
    """Let TensorFlow infer the shapes of a graph that was saved without, where TensorFlow runs."""
    if is_pure():
        return graph
    from stage_extract.reference.inferred_shapes import ShapedGraph

    return ShapedGraph(graph)


def run_reference(
    source: Source, description: Description, options: ExtractOptions, path: str
) -> ReferenceResult:
    """Record a reference run, or say why there is none."""
    if not options.reference:
        return absent("it was not asked for")
    if source.graph is None:
        return absent(f"there is no graph ({source.no_graph})")
    if is_pure():
        return absent(NOT_PROVEN)
    # Both import TensorFlow.
    from stage_extract.reference.filling import filler_of
    from stage_extract.reference.record import record

    return record(source.graph, filler_of(source), description, options, path)


def add_computed_kernels(
    source: Source,
    description: Description,
    entries: Sequence[TensorEntry],
    path: str,
    options: ExtractOptions,
) -> None:
    """Add the kernels that the graph computes from variables to the file of the variables.

    Args:
        entries: what the file holds.
        path: variables.safetensors.

    Raises:
        ReferenceUnavailable: they cannot be computed; the file stays as it was.
        DiskFull, OutputNotWritable, HeaderTooLarge: from writing.
    """
    if source.graph is None or is_pure():
        raise ReferenceUnavailable("this process runs without TensorFlow, which would compute it")
    from stage_extract.reference.filling import filler_of
    from stage_extract.reference.folded import add_folded

    add_folded(
        path,
        entries,
        description.folded,
        source.graph,
        filler_of(source),
        description.to_json(),
        options.prefer_ema,
    )
