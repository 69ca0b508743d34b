"""The contract as data, and whether descriptions keep it."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict

import pytest

import stage_extract
from tests.extract.graph import networks
from tests.extract.graph.graph_case import describe_built

PATH = os.path.join(os.path.dirname(stage_extract.__file__), "contract_v1.json")
with open(PATH, encoding="utf-8") as file:
    CONTRACT: Dict[str, Any] = json.load(file)
OP_KINDS = CONTRACT["op_kinds"]
DEFINITIONS = CONTRACT["graph_schema"]["definitions"]


def test_contract_is_written_as_exports_are() -> None:
    with open(PATH, encoding="utf-8") as text:
        assert text.read() == json.dumps(CONTRACT, indent=1, sort_keys=True) + "\n"


def test_schema_and_tables_name_the_same_things() -> None:
    roles = {role for kind in OP_KINDS.values() for role in kind["roles"]}
    letters = {
        axes
        for kind in OP_KINDS.values()
        for role in kind["roles"].values()
        for axes in role["source_axes"]
    }
    assert roles == set(CONTRACT["roles"]) == set(DEFINITIONS["role"]["enum"])
    assert letters == set(DEFINITIONS["source_axes"]["enum"])
    assert set(OP_KINDS) == set(DEFINITIONS["op_kind"]["enum"])
    assert set("".join(letters)) - set("()") == set(CONTRACT["axis_letters"])


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(row[0], id=row[0].__name__)
        for row in (*networks.EVERY, (networks.generative_adversarial,))
    ],
)
def test_layers_and_variables_keep_the_contract(build: Callable[[], None]) -> None:
    document = describe_built(build)
    for layer in document["layers"]:
        kind = OP_KINDS[layer["kind"]]
        optional = set(kind.get("optional_attributes", ()))
        assert set(layer["attributes"]) - optional == set(kind["attributes"])
        if layer["kind"] != "other":
            assert set(layer["variables"]) | set(layer["constants"]) <= set(kind["roles"])
            # A recurrent cell's sequence of outputs may be no single tensor.
            assert layer["reason"] is None or layer["output"] is None
        else:
            assert layer["reason"]
    for variable in document["variables"]:
        if variable["role"] is not None:
            allowed = OP_KINDS[variable["op_kind"]]["roles"][variable["role"]]["source_axes"]
            assert variable["source_axes"] in allowed
        else:
            assert variable["reason"]
            assert variable["source_axes"] is None


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(networks.by_hand, id="by-hand"),
        pytest.param(networks.keras_model, id="keras"),
        pytest.param(networks.character_lstm, id="loop"),
    ],
)
def test_nodes_are_closed_and_forward(build: Callable[[], None]) -> None:
    document = describe_built(build)
    names = [node["name"] for node in document["nodes"]]
    assert len(set(names)) == len(names)
    seen = set()
    for node in document["nodes"]:
        seen.add(node["name"])
        for tensor in node["inputs"]:
            source = tensor.rpartition(":")[0]
            assert source in names
            # Only a loop sends anything back.
            assert source in seen or node["op"] == "Merge"
    for tensor in document["outputs"]:
        assert tensor["name"] in names
