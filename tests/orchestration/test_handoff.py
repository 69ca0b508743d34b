"""Exports that stage 2 never gets to see: each damage has its sentence."""

from __future__ import annotations

import copy
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import ExportInvalid
from orchestration.handoff import check_export

NOTE = json.dumps({"format": "tf1-export", "version": 1})
HEADER = {
    "__metadata__": {"tf1_export": NOTE},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
    "empty": {"dtype": "F16", "shape": [0, 5], "data_offsets": [32, 32]},
}
REFERENCE_HEADER = {
    "__metadata__": {"tf1_export": NOTE},
    "x:0": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    "y:0": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
}
GRAPH: dict[str, Any] = {
    "format": "tf1-export",
    "version": 1,
    "variables": [
        {"name": "a", "dtype": "float32", "shape": [2, 3]},
        {"name": "b", "dtype": "int64", "shape": []},
        {"name": "empty", "dtype": "float16", "shape": [0, 5]},
    ],
    "reference": {
        "state": "recorded",
        "reason": None,
        "feeds": [{"tensor": "x:0"}],
        "outputs": ["y:0"],
        "layers": [
            {"layer": 0, "tensor": "y:0", "recorded": True},
            {"layer": 1, "tensor": "z:0", "recorded": False},
        ],
    },
}


def write_safetensors(path: Path, header: object, data_bytes: int, padding: int = 0) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * padding
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data_bytes))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    write_safetensors(tmp_path / "variables.safetensors", HEADER, 32, padding=5)
    write_safetensors(tmp_path / "reference.safetensors", REFERENCE_HEADER, 8)
    return tmp_path


def edited(original: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A deep copy with one value replaced; the path is keys and indices with slashes."""
    changed = copy.deepcopy(original)
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("/"))
    place: Any = changed
    for key in parents:
        place = place[key]
    place[last] = value
    return changed


def test_a_good_export(export):
    files = ("graph.json", "reference.safetensors", "variables.safetensors")
    assert check_export(export) == files


def test_an_export_without_reference_has_two_files(export):
    graph = edited(GRAPH, "reference", {"state": "absent", "reason": "no graph"})
    (export / "graph.json").write_text(json.dumps(graph))
    (export / "reference.safetensors").unlink()
    (export / "manifest.json").write_text("{}")  # not ours to judge
    assert check_export(export) == ("graph.json", "variables.safetensors")


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        pytest.param("b/data_offsets", [25, 33], "starts at 25 and leaves a hole", id="hole"),
        pytest.param("b/data_offsets", [16, 24], "overlaps", id="overlap"),
        pytest.param("a/data_offsets", [4, 28], "leaves a hole", id="hole-at-the-start"),
        pytest.param("a/data_offsets", [0, -24], "no valid data_offsets", id="negative"),
        pytest.param("a/data_offsets", [0], "no valid data_offsets", id="one-offset"),
        pytest.param("a/data_offsets", [False, 24], "no valid data_offsets", id="boolean"),
        pytest.param("a/data_offsets", "0:24", "no valid data_offsets", id="text"),
        pytest.param("a", 3, "no valid data_offsets for 'a'", id="no-object"),
        pytest.param("a/shape", [2, 2], "gives 24 bytes to 'a'", id="shape-of-another-size"),
        pytest.param("a/shape", [-2, -3], "has shape [-2, -3]", id="negative-size"),
        pytest.param("a/shape", [2.0, 3.0], "has shape", id="fractional-size"),
        pytest.param("a/dtype", "F128", "has dtype 'F128'", id="dtype"),
        pytest.param("a/dtype", ["F32"], "has dtype", id="dtype-list"),
        pytest.param("b/data_offsets", [24, 40], "gives 16 bytes to 'b'", id="too-many-bytes"),
        pytest.param("__metadata__", {}, "metadata", id="no-metadata"),
        pytest.param("__metadata__/tf1_export", "{", "metadata", id="broken-metadata"),
        pytest.param(
            "__metadata__/tf1_export",
            json.dumps({"format": "tf1-export", "version": 9}),
            "version 9",
            id="version",
        ),
    ],
)
def test_a_damaged_header_is_refused(export, path, value, text):
    write_safetensors(export / "variables.safetensors", edited(HEADER, path, value), 32)
    with pytest.raises(ExportInvalid) as caught:
        check_export(export)
    assert text in caught.value.happened
    assert "variables.safetensors" in caught.value.happened


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(b"", "ends after 0 bytes", id="empty"),
        pytest.param(b"\x01\x00\x00", "ends after 3 bytes", id="three-bytes"),
        pytest.param(struct.pack("<Q", 2**63), "claims a header", id="huge-header"),
        pytest.param(struct.pack("<Q", 100_000_001) + b"{", "claims a header", id="too-long"),
        pytest.param(struct.pack("<Q", 2) + b"no", "no JSON", id="no-json"),
        pytest.param(struct.pack("<Q", 2) + b"[]", "no JSON object", id="list"),
        pytest.param(struct.pack("<Q", 3) + b" {}", "no JSON object", id="does-not-start-with-{"),
        pytest.param(struct.pack("<Q", 13) + b'{"a":1,"a":2}', "occurs twice", id="name-twice"),
        pytest.param(struct.pack("<Q", 9000) + b"[" * 9000, "no JSON", id="deeply-nested"),
    ],
)
def test_a_file_that_is_no_safetensors_is_refused(export, content, text):
    (export / "variables.safetensors").write_bytes(content)
    with pytest.raises(ExportInvalid) as caught:
        check_export(export)
    assert text in caught.value.happened


@pytest.mark.parametrize("difference", [-1, 1])
def test_the_data_ends_at_the_end_of_the_file(export, difference):
    write_safetensors(export / "variables.safetensors", HEADER, 32 + difference)
    with pytest.raises(ExportInvalid, match="bytes where its header tells"):
        check_export(export)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        pytest.param("format", "onnx", "format 'onnx'", id="format"),
        pytest.param("version", 2, "version 2; known are: 1", id="version"),
        pytest.param("variables/0/name", "c", "['a', 'c']", id="another-name"),
        pytest.param("variables/1/name", "a", "same names", id="a-name-twice"),
        pytest.param("variables/0/shape", [3, 2], "describes 'a'", id="another-shape"),
        pytest.param("variables/0/dtype", "float64", "describes 'a'", id="another-dtype"),
        pytest.param("variables", {}, "no list of variables", id="variables-no-list"),
        pytest.param("variables/0", 3, "no object", id="variable-no-object"),
        pytest.param("reference", None, "no object", id="no-reference"),
        pytest.param("reference/outputs", ["q:0"], "['q:0']", id="output-not-recorded"),
        pytest.param("reference/feeds/0/tensor", "w:0", "['w:0']", id="feed-not-recorded"),
        pytest.param("reference/layers/1/recorded", True, "['z:0']", id="layer-not-recorded"),
        pytest.param("reference/layers", 3, "no list of layers", id="layers-no-list"),
        pytest.param("reference/outputs", 3, "no list of reference outputs", id="outputs-no-list"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(export, path, value, text):
    (export / "graph.json").write_text(json.dumps(edited(GRAPH, path, value)))
    with pytest.raises(ExportInvalid) as caught:
        check_export(export)
    assert text in caught.value.happened


@pytest.mark.parametrize("name", ["graph.json", "variables.safetensors", "reference.safetensors"])
@pytest.mark.parametrize("kind", ["missing", "link", "pipe", "folder"])
def test_only_plain_files_are_read(export, name, kind):
    path = export / name
    path.rename(export / "elsewhere")
    if kind == "link":
        path.symlink_to(export / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ExportInvalid, match="is missing" if kind == "missing" else "no plain file"):
        check_export(export)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        pytest.param("{", '{"version": 1, ', "a name occurs twice", id="name-twice"),
        pytest.param('"seed"', '"x": NaN, "seed"', "NaN is no number", id="nan"),
        pytest.param('"float32"', "9" * 5000, "is no JSON", id="huge-number"),
        pytest.param('"float32"', '"\\ud800"', "is no JSON", id="half-a-surrogate"),
        pytest.param('"float32"', "[" * 9000 + "]" * 9000, "nested too deeply", id="nested"),
        pytest.param('"version": 1', '"version": true', "version True", id="version-true"),
    ],
)
def test_json_that_says_two_things_is_refused(export, old, new, text):
    written = json.dumps({**GRAPH, "seed": 0})
    assert old in written
    (export / "graph.json").write_text(written.replace(old, new, 1))
    with pytest.raises(ExportInvalid) as caught:
        check_export(export)
    assert text in caught.value.happened


@pytest.mark.parametrize("shape", [[0, 2**62], [2**70, 0], [1] * 65 + [0]])
def test_shapes_that_no_memory_holds_are_refused(export, shape):
    graph = edited(GRAPH, "variables/2/shape", shape)
    (export / "graph.json").write_text(json.dumps(graph))
    header = edited(HEADER, "empty/shape", shape)
    write_safetensors(export / "variables.safetensors", header, 32)
    with pytest.raises(ExportInvalid, match="no memory holds"):
        check_export(export)


def test_metadata_that_is_nested_without_end_is_refused(export):
    header = edited(HEADER, "__metadata__/tf1_export", "[" * 9000)
    write_safetensors(export / "variables.safetensors", header, 32)
    with pytest.raises(ExportInvalid, match="metadata"):
        check_export(export)


def test_a_graph_of_gigabytes_is_not_read(export):
    with open(export / "graph.json", "r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(ExportInvalid, match="314,572,800 bytes, more than"):
        check_export(export)
