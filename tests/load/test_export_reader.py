"""Exports that break the contract, or whose files contradict each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stage_load import contract
from stage_load.errors import ContractVersion, ExportDamaged
from stage_load.export_reader import Export
from stage_load.safetensors_header import write_header
from tests.load.export_maker import write_safetensors
from tests.load.networks import classifier_export


@pytest.fixture
def folder(tmp_path):
    maker, _ = classifier_export()
    return maker.write(tmp_path / "export")


def change_graph(folder, change):
    path = folder / "graph.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_it_opens(folder):
    # The command that extracts puts a manifest of its own beside the three files.
    (folder / "manifest.json").write_text("{}")
    with Export(folder) as export:
        assert len(export.view.layers) == 6
        assert list(export.view.variables) == sorted(export.variables.entries)
        assert export.view.variables["first/kernel"].shape == (2, 3, 3, 6)
        assert export.reference is not None
        assert export.reference.read("x:0").shape == (2, 4, 6, 3)


def drop(*path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def put(value, *path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(put("other", "format"), ExportDamaged, "format 'other'", id="format"),
        pytest.param(drop("format"), ExportDamaged, "format 'None'", id="no-format"),
        pytest.param(put(2, "version"), ContractVersion, "version 2 of the contract", id="newer"),
        pytest.param(put("1", "version"), ContractVersion, "version '1' of", id="version-as-text"),
        pytest.param(put(True, "version"), ContractVersion, "version True", id="version-bool"),
        pytest.param(drop("layers"), ExportDamaged, "breaks the contract", id="no-layers"),
        pytest.param(put({}, "layers"), ExportDamaged, r"data\.layers", id="layers-no-list"),
        pytest.param(drop("layers", 0, "kind"), ExportDamaged, r"layers\[0\]", id="layer"),
        pytest.param(drop("variables", 0, "role"), ExportDamaged, "variables", id="variable-key"),
        pytest.param(put("x", "variables", 0, "role"), ExportDamaged, "role", id="variable-role"),
        pytest.param(put([-1], "variables", 0, "shape"), ExportDamaged, "shape", id="shape"),
        pytest.param(put(7, "variables", 0), ExportDamaged, "variables", id="variable-no-object"),
        pytest.param(put({}, "variables"), ExportDamaged, "variables", id="variables-no-list"),
        pytest.param(drop("variables", 3), ExportDamaged, "has no variable", id="variable-missing"),
        pytest.param(
            put([9], "variables", 0, "shape"), ExportDamaged, r"graph\.json says", id="other-shape"
        ),
        pytest.param(
            put("float64", "variables", 0, "dtype"), ExportDamaged, "says float64", id="other-dtype"
        ),
        pytest.param(
            put("gone:0", "reference", "outputs", 0), ExportDamaged, "'gone:0'", id="output-gone"
        ),
    ],
)
def test_a_graph_that_does_not_fit(folder, change, error, message):
    change_graph(folder, change)
    with pytest.raises(error, match=message):
        Export(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("graph.json", None, "No such file", id="no-graph"),
        pytest.param("graph.json", b'{"format":', "no JSON", id="graph-cut"),
        pytest.param("graph.json", b"[]", "format 'list'", id="graph-list"),
        pytest.param("graph.json", b"\xff\xfe\xfd", "no JSON", id="graph-binary"),
        pytest.param("graph.json", b"[" * 200_000, "no JSON", id="graph-nested"),
        pytest.param("variables.safetensors", None, "No such file", id="no-variables"),
        pytest.param("variables.safetensors", b"", "0 bytes", id="variables-empty"),
        pytest.param("reference.safetensors", None, "No such file", id="no-reference"),
    ],
)
def test_a_file_that_is_missing_or_damaged(folder, name, content, message):
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ExportDamaged, match=message):
        Export(folder)


def test_a_truncated_data_file(folder):
    path = folder / "variables.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ExportDamaged, match="the tensors end at byte"):
        Export(folder)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        pytest.param({}, ExportDamaged, "format", id="none"),
        pytest.param({"tf1_export": "x"}, ExportDamaged, "no JSON", id="no-json"),
        pytest.param(
            {"tf1_export": '{"format":"tf1-export","version":7}'},
            ContractVersion,
            "version 7",
            id="newer",
        ),
    ],
)
def test_metadata_of_the_data_file(folder, metadata, error, message):
    start, _ = write_header([], metadata)
    (folder / "variables.safetensors").write_bytes(start)
    with pytest.raises(error, match=message):
        Export(folder)


def test_a_reference_that_lacks_a_layer(folder):
    write_safetensors(folder / "reference.safetensors", {"x:0": np.zeros(1, np.float32)})
    with pytest.raises(ExportDamaged, match="has no tensor"):
        Export(folder)


def nodes(*described):
    """Put nodes into the graph: name, op and inputs of each."""
    keys = ("name", "op", "inputs", "attributes", "shapes")
    return put([dict(zip(keys, (*node, {}, None), strict=True)) for node in described], "nodes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put(7, "layers", 0, "index"), "numbers its layer 0", id="layer-number"),
        pytest.param(
            put("nix", "layers", 0, "variables", "kernel"), "no variable 'nix'", id="layer-variable"
        ),
        pytest.param(put([55], "variables", 0, "layers"), "a layer 55", id="variable-layer"),
        pytest.param(
            put(99, "reference", "layers", 0, "layer"), "a layer 99", id="reference-layer"
        ),
        pytest.param(
            lambda d: d["variables"].append(d["variables"][0]),
            "variable twice",
            id="variable-twice",
        ),
        pytest.param(nodes(("a", "Relu", []), ("a", "Relu", [])), "node twice", id="node-twice"),
        pytest.param(nodes(("a", "Relu", ["b:0"])), "no node 'b'", id="node-missing"),
        pytest.param(
            nodes(("a", "IdentityN", ["c:0"]), ("b", "Relu", ["a:1"]), ("c", "Relu", [])),
            "no tensor 'a:1'",
            id="output-missing",
        ),
        pytest.param(nodes(("a", "Identity", ["a:0"])), "given by itself", id="node-of-itself"),
        pytest.param(
            nodes(("a", "Identity", ["b:0"]), ("b", "Snapshot", ["a:0"])),
            "given by itself",
            id="loop-without-computation",
        ),
    ],
)
def test_parts_that_contradict_each_other(folder, change, message):
    change_graph(folder, change)
    with pytest.raises(ExportDamaged, match=message):
        Export(folder)


def test_a_loop_that_computes_is_read(folder):
    change_graph(
        folder,
        nodes(
            ("merge", "Merge", ["next:0"]),
            ("a", "Identity", ["merge:0"]),
            ("b", "IdentityN", ["a:0", "a:0"]),
            ("next", "NextIteration", ["b:1"]),
        ),
    )
    with Export(folder) as export:
        assert export.view.source("b:1") == "merge:0"


def test_the_definition_beside_this_stage_comes_first(tmp_path, monkeypatch):
    """An image has a copy of its own; a checkout reads the extraction stage's file."""
    assert contract.definition_path(1).parent.name == "stage_extract"
    copy = tmp_path / "contract_v1.json"
    copy.write_bytes(contract.definition_path(1).read_bytes())
    monkeypatch.setattr(contract, "_HERE", tmp_path)
    assert contract.definition_path(1) == copy
    with pytest.raises(FileNotFoundError, match="contract_v9"):
        contract.definition_path(9)
