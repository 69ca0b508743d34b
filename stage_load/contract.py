"""The definition of the export folder, as data, and the check of ``graph.json`` against it.

The definition belongs to the extraction stage. An image of this stage holds a copy beside this
file, put there when it is built; in a checkout the original is read where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from stage_load.errors import ContractVersion, ExportDamaged

FORMAT = "tf1-export"
SUPPORTED_VERSIONS = (1,)

GRAPH_FILE = "graph.json"
VARIABLES_FILE = "variables.safetensors"
REFERENCE_FILE = "reference.safetensors"
METADATA_KEY = "tf1_export"

_VARIABLE_KEYS = frozenset({"name", "shape", "op_kind", "source_axes"})

_HERE = Path(__file__).resolve().parent
_LONGEST_VALUE = 60


def definition_path(version: int) -> Path:
    """Return where the contract's definition lies: beside this file, or in the checkout.

    Raises:
        FileNotFoundError: in neither place, which means that this stage was installed wrongly.
    """
    name = f"contract_v{version}.json"
    places = (_HERE / name, _HERE.parent / "stage_extract" / name)
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"{name} is in none of {[str(place.parent) for place in places]}")


@cache
def _validator(version: int, part: str | None = None) -> Callable[[Any], Any]:
    """Return the check of the whole graph, or of one of the schema's definitions."""
    definition = json.loads(definition_path(version).read_text(encoding="utf-8"))
    schema = definition["graph_schema"]
    if part is not None:
        schema = {"$ref": f"#/definitions/{part}", "definitions": schema["definitions"]}
    check: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return check


def check_version(values: Any, file_name: str) -> int:
    """Return the contract version that ``values`` names, if this stage reads it.

    Raises:
        ExportDamaged: the values are not those of an export.
        ContractVersion: the version is not one of ``SUPPORTED_VERSIONS``.
    """
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, Mapping) else type(values).__name__
        raise ExportDamaged(
            f"{file_name} has the format {str(found)[:_LONGEST_VALUE]!r}.",
            f"Expected {FORMAT!r}.",
            "Give a folder that the extraction has written.",
        )
    version = values.get("version")
    if isinstance(version, bool) or version not in SUPPORTED_VERSIONS:
        supported = ", ".join(map(str, SUPPORTED_VERSIONS))
        raise ContractVersion(
            f"{file_name} is written in version {_short(version)} of the contract.",
            f"This release reads version {supported}.",
            "Convert with the release that wrote the export, or extract again with this one.",
        )
    return int(version)


def is_variable(values: Mapping[str, Any]) -> bool:
    """Whether an object of ``graph.json`` is a complete and valid entry of its variables."""
    if not values.keys() >= _VARIABLE_KEYS:
        return False
    try:
        _validator(SUPPORTED_VERSIONS[-1], "variable")(values)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def check_graph(document: Any, checked: type) -> None:
    """Check a decoded ``graph.json`` against the contract.

    Args:
        document: the values, in which variables that ``is_variable`` accepted may stand as
            objects of the type ``checked``.
        checked: that type.

    Raises:
        ContractVersion: it is of a version that this stage does not read.
        ExportDamaged: it breaks the schema; names the place.
    """
    version = check_version(document, GRAPH_FILE)
    variables = document.get("variables")
    if isinstance(variables, list):
        rest = [entry for entry in variables if not isinstance(entry, checked)]
        document = {**document, "variables": rest}
    try:
        _validator(version)(document)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ExportDamaged(
            f"{GRAPH_FILE} breaks the contract at {error.name}: {_short(error.value)}.",
            f"Expected {error.rule} {_short(error.rule_definition)}.",
            "Extract the checkpoint again; the file was changed, or written by another program.",
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
