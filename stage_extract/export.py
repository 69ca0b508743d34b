"""One job, from the checkpoint to the export folder: locate, select, describe, write, record."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple

from stage_extract.dtypes import BY_NAME
from stage_extract.errors import EmptyCheckpoint, OutputNotWritable
from stage_extract.formats.opening import open_model
from stage_extract.graph.describe import Description, describe
from stage_extract.inspection import inspect
from stage_extract.jobs import INSPECT, Job
from stage_extract.protocol import JobEvents
from stage_extract.proving import (
    add_computed_kernels,
    left_to_tensorflow,
    run_reference,
    with_static_shapes,
)
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.reader_choice import BOTH, check_reader
from stage_extract.reference.result import ReferenceResult, ReferenceUnavailable
from stage_extract.selecting.optimizer_graph import optimizer_hints
from stage_extract.selecting.selection import UNSUPPORTED_DTYPE, Selection, select
from stage_extract.source import Source
from stage_extract.storage.comparing_reader import ComparingReader
from stage_extract.storage.slices import count_elements
from stage_extract.storage.stored_checksums import StoredChecksums
from stage_extract.writing.export_format import (
    GRAPH_FILE_NAME,
    HEADER_METADATA,
    REFERENCE_FILE_NAME,
    VARIABLES_FILE_NAME,
)
from stage_extract.writing.graph_writer import write_graph
from stage_extract.writing.hashing import InputHasher
from stage_extract.writing.safetensors_writer import TensorEntry, write_safetensors


class PhaseClock:
    """Adds up the seconds that each phase of a job takes."""

    def __init__(self) -> None:
        self.timings_s: Dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a block."""
        start_s = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - start_s
        self.timings_s[name] = self.timings_s.get(name, 0.0) + elapsed_s


def run_job(job: Job, events: JobEvents) -> Tuple[Mapping[str, Any], Mapping[str, float]]:
    """Do one job; gives its result and its timings in seconds by phase.

    Raises:
        ExtractError: a cause that the user can understand; nothing is left in the output folder.
    """
    clock = PhaseClock()
    with ExitStack() as stack:
        with clock.phase("locate"):
            source = stack.enter_context(open_model(job, events.warning))
        return _run(_with_endpoints(job, source), source, clock, events), clock.timings_s


def _run(job: Job, source: Source, clock: PhaseClock, events: JobEvents) -> Dict[str, Any]:
    with closing(_open_reader(job, source)) as reader:
        with clock.phase("select"):
            selection = _select(job, source, reader, events)
        if job.command == INSPECT or job.out is None:
            return _inspect(job, source, selection, clock)
        given = job.checkpoint
        folder = given if os.path.isdir(given) else os.path.dirname(given)
        with InputHasher(source.paths, folder) as hasher, _removed_on_error(job.out) as keep:
            _check_output_folder(job.out)
            checksums = StoredChecksums(reader, selection.kept)
            result = _extract(job, job.out, source, reader, selection, clock, events)
            with clock.phase("hash"):
                checkpoint = {**_checkpoint_summary(source), "files": hasher.result()}
            if checksums:
                checkpoint["crc32c"] = checksums.by_name()
            keep()
    if isinstance(reader, ComparingReader):
        result["readers"] = reader.summary(selection.kept)
    return {"checkpoint": checkpoint, **result}


def _open_reader(job: Job, source: Source) -> VariableReader:
    check_reader(job.options.reader)
    if job.options.reader != BOTH:
        return source.open_reader()
    # Imports TensorFlow.
    from stage_extract.reference.second_reading import second_reading_of

    return ComparingReader(source.open_reader(), second_reading_of(source))


def _with_endpoints(job: Job, source: Source) -> Job:
    """Take the inputs and outputs that the file names where the user names none."""
    options = job.options
    inputs = options.inputs or source.inputs
    outputs = options.outputs or source.outputs
    return replace(job, options=replace(options, inputs=inputs, outputs=outputs))


def _select(job: Job, source: Source, reader: VariableReader, events: JobEvents) -> Selection:
    variables = reader.variables()
    hints = optimizer_hints(source.graph, variables)
    keep_optimizer = job.options.keep_optimizer
    selection = select(variables, hints, keep_optimizer, source.training_state)
    for skipped in selection.skipped:
        if skipped.category == UNSUPPORTED_DTYPE:
            events.warning(f"{skipped.variable.name!r} is left out: {skipped.reason}.")
    if not selection.kept:
        raise EmptyCheckpoint(
            f"None of the {len(selection.skipped)} tensors of {source.prefix!r} can be exported.",
            "Expected at least one numeric variable that is no state of an optimizer.",
            "`inspect` lists the tensors; --keep-optimizer exports the optimizer's state as well.",
        )
    return selection


def _inspect(job: Job, source: Source, selection: Selection, clock: PhaseClock) -> Dict[str, Any]:
    with clock.phase("describe"):
        description = _describe(job, source, selection)
    choices = [choice._asdict() for choice in source.choices]
    found = inspect(_checkpoint_summary(source), description, selection.skipped)
    return {"inspection": {**found, "choices": choices}}


def _describe(job: Job, source: Source, selection: Selection, fold: bool = True) -> Description:
    others = [skipped.variable for skipped in selection.skipped]
    graph = None if source.graph is None else with_static_shapes(source.graph)
    return describe(
        graph,
        selection.kept,
        job.options,
        fold,
        source.format,
        source.no_graph,
        others,
        source.variable_order,
    )


def _check_output_folder(out: str) -> None:
    if not os.path.isdir(out):
        raise OutputNotWritable(
            f"The output folder {out!r} is not there.",
            "Expected an empty folder that may be written to.",
            "Make it, or give another one.",
        )


def _extract(
    job: Job,
    out: str,
    source: Source,
    reader: VariableReader,
    selection: Selection,
    clock: PhaseClock,
    events: JobEvents,
) -> Dict[str, Any]:
    """Write the three files; gives the job's result without the checkpoint's files."""
    with clock.phase("variables"):
        size_bytes = _write_variables(out, selection.kept, reader, events)
    # For very many variables the index and the description are large: one after the other.
    reader.close()
    with clock.phase("describe"):
        description = _describe(job, source, selection)
        left = left_to_tensorflow(description)
        description = _with_folded(job, out, source, selection, description, events)
    with clock.phase("reference"):
        path = os.path.join(out, REFERENCE_FILE_NAME)
        reference = run_reference(source, description, job.options, path)
    for warning in (*description.warnings, *reference.warnings):
        events.warning(warning)
    with clock.phase("graph"):
        graph = _complete_graph(description, selection, reference)
        write_graph(os.path.join(out, GRAPH_FILE_NAME), graph)
    result = _summarise(selection, size_bytes, graph)
    return {**result, "left_to_tensorflow": left} if left else result


def _with_folded(
    job: Job,
    out: str,
    source: Source,
    selection: Selection,
    description: Description,
    events: JobEvents,
) -> Description:
    """Add the kernels that the graph computes from variables; describe anew if that cannot be."""
    if not description.folded or source.graph is None:
        return description
    path = os.path.join(out, VARIABLES_FILE_NAME)
    entries = [_entry(variable) for variable in selection.kept]
    try:
        add_computed_kernels(source, description, entries, path, job.options)
    except ReferenceUnavailable as error:
        events.warning(
            f"What the graph computes from variables, first '{description.folded[0].tensor}', is "
            f"no variable of the export: {error}."
        )
        return _describe(job, source, selection, fold=False)
    return description


@contextmanager
def _removed_on_error(out: str) -> Iterator[Any]:
    """Remove the export's files at the end of the block unless the given function was called."""
    with ExitStack() as stack:
        for name in (VARIABLES_FILE_NAME, REFERENCE_FILE_NAME, GRAPH_FILE_NAME):
            stack.callback(_remove_if_there, os.path.join(out, name))
        yield stack.pop_all


def _remove_if_there(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _write_variables(
    out: str, variables: Sequence[VariableInfo], reader: VariableReader, events: JobEvents
) -> int:
    """Write every variable, one piece in memory at a time; gives the bytes of the tensors."""
    entries = [_entry(variable) for variable in variables]
    done = 0

    def counted_pieces(name: str) -> Iterator[memoryview]:
        nonlocal done
        yield from reader.pieces(name)
        done += 1
        events.progress("variables", done, len(entries), "tensors")

    path = os.path.join(out, VARIABLES_FILE_NAME)
    write_safetensors(path, entries, HEADER_METADATA, counted_pieces)
    return sum(entry.size_bytes for entry in entries)


def _entry(variable: VariableInfo) -> TensorEntry:
    element_type = BY_NAME[variable.dtype]
    if element_type.safetensors is None or element_type.size_bytes is None:
        raise ValueError(f"{variable.name!r} has the type {variable.dtype}, which was not left out")
    size_bytes = count_elements(variable.shape) * element_type.size_bytes
    return TensorEntry(variable.name, element_type.safetensors, variable.shape, size_bytes)


def _complete_graph(
    description: Description, selection: Selection, reference: ReferenceResult
) -> Dict[str, Any]:
    graph = dict(description.to_json())
    graph["skipped"] = [skipped.to_json() for skipped in selection.skipped]
    graph["reference"] = reference.to_json()
    return graph


def _checkpoint_summary(source: Source) -> Dict[str, Any]:
    # A path ending in a slash is a prefix as well.
    prefix = source.prefix.rstrip("/")
    return {"prefix": os.path.basename(prefix), "step": source.step}


def _summarise(selection: Selection, size_bytes: int, graph: Mapping[str, Any]) -> Dict[str, Any]:
    return {
        "variables": len(selection.kept),
        "size_bytes": size_bytes,
        "skipped": len(selection.skipped),
        "reference": {key: graph["reference"][key] for key in ("state", "reason")},
        "inputs": graph["inputs"],
        "outputs": graph["outputs"],
        "layers": len(graph["layers"]),
        "evidence": "graph" if graph["nodes"] else "guessed",
    }
