"""Opens an export folder: the checked graph, the variables, and the reference if there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from stage_load.consistency import check_consistency
from stage_load.contract import (
    GRAPH_FILE,
    METADATA_KEY,
    REFERENCE_FILE,
    VARIABLES_FILE,
    check_graph,
    check_version,
    is_variable,
)
from stage_load.errors import ExportDamaged
from stage_load.export_view import ExportView, Layer, Variable, variable
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.strict_json import decode_json, read_json

# numpy-style names of the contract, and what the format calls them.
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
}


class Export:
    """An open export folder. Use it in a ``with`` statement.

    Attributes:
        view: the graph.
        variables: the variables' bytes.
        reference: what TensorFlow computed, or ``None``.
    """

    def __init__(self, folder: Path) -> None:
        """Open and check the folder's files.

        Raises:
            ExportDamaged: a file is missing, breaks the contract, or contradicts another.
            ContractVersion: the export is of a version that this stage does not read.
        """
        self.folder = folder
        document = _read_graph(folder / GRAPH_FILE)
        self.view = ExportView(document)
        check_consistency(self.view, len(document["variables"]), document["nodes"])
        del document
        with ExitStack() as opened:
            self.variables = opened.enter_context(SafetensorsReader(folder / VARIABLES_FILE))
            _check_metadata(self.variables)
            _check_variables(self.view, self.variables)
            self.reference = self._open_reference(opened)
            self._files = opened.pop_all()

    def __enter__(self) -> Export:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.close()

    def _open_reference(self, opened: ExitStack) -> SafetensorsReader | None:
        described = self.view.reference
        if described["state"] != "recorded":
            return None
        reader = opened.enter_context(SafetensorsReader(self.folder / REFERENCE_FILE))
        _check_metadata(reader)
        wanted = [feed["tensor"] for feed in described["feeds"]]
        wanted += described["outputs"]
        wanted += [layer["tensor"] for layer in described["layers"] if layer["recorded"]]
        for tensor in wanted:
            if tensor not in reader.entries:
                raise _disagree(
                    REFERENCE_FILE, f"has no tensor {tensor!r}, which {GRAPH_FILE} names"
                )
        return reader


def _read_graph(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path, _compact)
    except OSError as error:
        raise ExportDamaged(
            f"{GRAPH_FILE} of the export cannot be opened: {error.strerror}.",
            f"Expected a folder with {GRAPH_FILE} and {VARIABLES_FILE}.",
            "Give the folder that the extraction has written.",
        ) from error
    except ValueError as error:
        raise ExportDamaged(
            f"{GRAPH_FILE} is no JSON: {error}.",
            "Expected a complete JSON document.",
            "Extract the checkpoint again, or copy the export again.",
        ) from error
    check_graph(document, Variable)
    result: dict[str, Any] = document
    return result


def _compact(values: dict[str, Any]) -> dict[str, Any] | Variable:
    """Take a variable's entry into its small form at once: a checkpoint may have 50,000."""
    return variable(values) if is_variable(values) else values


def _check_metadata(reader: SafetensorsReader) -> None:
    name = reader.path.name
    try:
        values: Any = decode_json(reader.metadata.get(METADATA_KEY, "null").encode("utf-8"))
    except ValueError as error:
        raise _disagree(name, f"has metadata {METADATA_KEY!r} that is no JSON") from error
    check_version(values, name)


def _check_variables(view: ExportView, reader: SafetensorsReader) -> None:
    """Check that the graph and the data speak of the same tensors."""
    entries = reader.entries
    if view.variables.keys() != entries.keys():
        odd = min(view.variables.keys() ^ entries.keys())
        has, lacks = (GRAPH_FILE, VARIABLES_FILE)
        if odd in entries:
            has, lacks = lacks, has
        raise _disagree(lacks, f"has no tensor {odd!r}, which {has} has")
    for known in view.variables.values():
        entry = entries[known.name]
        described = (_DTYPES.get(known.dtype), known.shape)
        if described != (entry.dtype, entry.shape):
            raise _disagree(
                VARIABLES_FILE,
                f"holds {known.name!r} as {entry.dtype} {list(entry.shape)}, "
                f"{GRAPH_FILE} says {known.dtype} {list(known.shape)}",
            )


def _disagree(file_name: str, what: str) -> ExportDamaged:
    return ExportDamaged(
        f"{file_name} {what}.",
        "Expected the export's files to agree with each other.",
        "Extract the checkpoint again; a file was replaced or changed.",
    )


def reference_layers(
    reference: Mapping[str, Any], layers: Sequence[Layer]
) -> dict[int, tuple[str, str | None]]:
    """Return layer index -> (tensor, reason why it was not recorded, or ``None``).

    A layer with a bias has two tensors, before and after its addition; the one that its torch
    module returns is taken.
    """
    return {
        entry["layer"]: (
            entry["tensor"],
            None if entry["recorded"] else entry["reason"] or "not recorded",
        )
        for entry in reference["layers"]
        if entry["tensor"] == layers[entry["layer"]].output
    }
