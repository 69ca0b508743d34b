"""The committed exports keep to the contract: schema, headers, what the files say of each other."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CONTRACT = json.loads(
    (Path(__file__).parents[2] / "stage_extract" / "contract_v1.json").read_text("utf-8")
)
GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name for path in GOLDEN.iterdir())
ELEMENT_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F16": 2, "BF16": 2, "I16": 2,
    "F32": 4, "I32": 4, "F64": 8, "I64": 8,
}  # fmt: skip
NUMPY_NAMES = {
    "BOOL": "bool", "F16": "float16", "BF16": "bfloat16", "F32": "float32",
    "F64": "float64", "I32": "int32", "I64": "int64",
}  # fmt: skip


def read_graph(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name / "graph.json").read_text("utf-8"))


def read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """Give a safetensors header, its size in bytes, and the size of the data."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), size, len(content) - 8 - size


def safetensors_files() -> list[Any]:
    paths = sorted(GOLDEN.glob("*/*.safetensors"))
    return [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in paths]


@pytest.mark.parametrize("name", NAMES)
def test_graph_json_has_the_schema(name):
    jsonschema.Draft7Validator(CONTRACT["graph_schema"]).validate(read_graph(name))


def test_the_schema_is_a_schema_and_refuses_what_it_should():
    schema = CONTRACT["graph_schema"]
    jsonschema.Draft7Validator.check_schema(schema)
    graph = read_graph("segmenter")
    for change in ({"version": 2}, {"unknown": 1}, {"variables": [{"name": "x"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(schema).validate({**graph, **change})


@pytest.mark.parametrize("name", NAMES)
def test_graph_json_is_written_in_one_way(name):
    text = (GOLDEN / name / "graph.json").read_bytes().decode("utf-8")

    def check_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert keys == sorted(set(keys))
        return dict(pairs)

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    json.loads(text, object_pairs_hook=check_order, parse_constant=refuse)
    assert text.endswith("}\n")
    assert "\r" not in text


@pytest.mark.parametrize("path", safetensors_files())
def test_a_header_leaves_no_holes(path):
    header, header_size, data_size = read_header(path)
    assert list(header.pop("__metadata__")) == [CONTRACT["safetensors_metadata_key"]]
    assert (8 + header_size) % 8 == 0
    assert list(header) == sorted(header)
    offset = 0
    for name, entry in header.items():
        size = math.prod(entry["shape"]) * ELEMENT_SIZES[entry["dtype"]]
        assert entry["data_offsets"] == [offset, offset + size], name
        offset += size
    assert offset == data_size


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_described_once(name):
    header, _, _ = read_header(GOLDEN / name / "variables.safetensors")
    del header["__metadata__"]
    described = {one["name"]: (one["dtype"], one["shape"]) for one in read_graph(name)["variables"]}
    assert described == {
        tensor: (NUMPY_NAMES[entry["dtype"]], entry["shape"]) for tensor, entry in header.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_op_kinds_roles_and_axes_are_those_of_the_contract(name):
    for one in read_graph(name)["variables"]:
        if one["role"] is None:
            assert one["source_axes"] is None
            continue
        roles = CONTRACT["op_kinds"][one["op_kind"]]["roles"]
        assert one["source_axes"] in roles[one["role"]]["source_axes"], one["name"]
        if one["evidence"] == "graph":
            assert len(one["source_axes"]) == len(one["shape"]), one["name"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bare"])
def test_the_reference_is_what_graph_json_says(name):
    graph = read_graph(name)
    reference = graph["reference"]
    header, _, data_size = read_header(GOLDEN / name / "reference.safetensors")
    del header["__metadata__"]
    assert (reference["state"], reference["deterministic"]) == ("recorded", True)
    assert reference["size_bytes"] == data_size
    layers = [layer["tensor"] for layer in reference["layers"] if layer["recorded"]]
    feeds = {feed["tensor"]: feed["shape"] for feed in reference["feeds"]}
    assert set(header) == {*feeds, *layers, *reference["outputs"]}
    assert {tensor: header[tensor]["shape"] for tensor in feeds} == feeds
    assert list(feeds) == [one["tensor"] for one in graph["inputs"]]
    assert reference["outputs"] == [one["tensor"] for one in graph["outputs"]]
    assert {layer["layer"] for layer in reference["layers"]} == set(range(len(graph["layers"])))


def test_without_a_graph_nothing_is_claimed():
    graph = read_graph("bare")
    assert graph["source"]["graph"] is None
    assert graph["reference"]["state"] == "absent"
    assert (graph["nodes"], graph["inputs"], graph["outputs"]) == ([], [], [])
    assert not (GOLDEN / "bare" / "reference.safetensors").exists()
    assert {one["evidence"] for one in graph["variables"]} <= {"guessed", None}


@pytest.mark.parametrize("name", NAMES)
def test_no_path_gets_into_an_export(name):
    for path in (GOLDEN / name).iterdir():
        content = path.read_bytes()
        for part in (b"/home/", b"/root/", b"/tmp/", b"checkpoints/", b"model.ckpt"):
            assert part not in content, path.name
