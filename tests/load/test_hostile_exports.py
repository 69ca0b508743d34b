"""Exports and mappings of strangers: each lie has its refusal, within seconds."""

from __future__ import annotations

import json
import shutil
import struct

import pytest

from stage_load.errors import ExportDamaged, MappingInvalid
from stage_load.export_reader import Export
from stage_load.mapping_csv import read_mapping
from tests.load.hostility import (
    GOLDEN,
    MOST_MORE_BYTES,
    device,
    limited_memory,
    pipe,
    serve_job,
)
from tests.load.networks import CLASSIFIER_SOURCE, classifier_export, write_model


@pytest.fixture
def folder(tmp_path):
    maker, _ = classifier_export()
    return maker.write(tmp_path / "export")


def graph_text(old, new):
    def damage(folder):
        path = folder / "graph.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


def header(change):
    def damage(folder):
        path = folder / "variables.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        text = change(data[8 : 8 + length])
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return damage


def whole(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def huge(name):
    def damage(folder):
        with open(folder / name, "r+b") as file:
            file.truncate(300 << 20)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(graph_text("{", '{"format": "tf1-export", '), "comes twice", id="name-twice"),
        pytest.param(graph_text("0.001", "NaN"), "NaN is no number", id="nan"),
        pytest.param(graph_text("0.001", "1" * 5000), "no JSON", id="huge-number"),
        pytest.param(graph_text("first/kernel", "\\ud800"), "no JSON", id="half-a-surrogate"),
        pytest.param(graph_text('"x:0"', "[" * 5000 + "]" * 5000), "no JSON", id="nested"),
        pytest.param(pipe("graph.json"), "no plain file", id="graph-pipe"),
        pytest.param(device("graph.json"), "no plain file", id="graph-device"),
        pytest.param(huge("graph.json"), "314,572,800 bytes, more than", id="graph-huge"),
        pytest.param(pipe("variables.safetensors"), "no plain file", id="variables-pipe"),
        pytest.param(device("reference.safetensors"), "no plain file", id="reference-device"),
        pytest.param(
            header(lambda text: text.replace(b"first/kernel", b"\\ud800")),
            "is no text",
            id="header-half-a-surrogate",
        ),
        pytest.param(
            header(
                lambda text: text.replace(
                    b'"shape":[2,3,3,6]', b'"shape":[2,3,3,6' + b",1" * 70 + b"]"
                )
            ),
            "no memory holds",
            id="header-seventy-axes",
        ),
        pytest.param(
            header(
                lambda text: (
                    b'{"empty":{"dtype":"F32","shape":[0,2305843009213693952],'
                    b'"data_offsets":[0,0]},' + text[1:]
                )
            ),
            "no memory holds",
            id="header-empty-and-endless",
        ),
        pytest.param(
            whole("variables.safetensors", struct.pack("<Q", 100_000_001) + bytes(100)),
            "more than 100000000",
            id="header-over-the-limit",
        ),
    ],
)
def test_an_export_that_lies(damage, message, folder):
    damage(folder)
    with pytest.raises(ExportDamaged, match=message):
        Export(folder)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        pytest.param("a,b,," + "9" * 5000, "no shape", id="shape-of-5000-digits"),
        pytest.param("a,b,(HWC)O->O(CHW) H=" + "9" * 5000, "no size", id="size-of-5000-digits"),
        pytest.param("a,b,as is @0:" + "9" * 5000, "no part", id="part-of-5000-digits"),
        pytest.param("a,b,HWIO->OIHW adapt I 1->" + "9" * 5000, "no", id="adapt-of-5000-digits"),
        pytest.param(",b,constant " + "9" * 400, "neither a number", id="constant-of-400-digits"),
        pytest.param(",b,constant " + "[" * 5000, "neither a number", id="constant-nested"),
        pytest.param(
            'a,b,"folded mean {""bias"":' + "[" * 5000 + '"', "no JSON", id="folded-nested"
        ),
        pytest.param(
            'a,b,"folded mean {""bias"":' + "9" * 400 + '}"', "too large", id="folded-of-400-digits"
        ),
    ],
)
def test_a_mapping_with_numbers_without_end(cells, message, tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text(f"tf_name,torch_name,rule,tf_shape\n{cells}\n")
    with pytest.raises(MappingInvalid, match=message):
        read_mapping(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_mapping_that_is_no_file(kind, tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text("")
    if kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        {"pipe": pipe, "device": device}[kind]("mapping.csv")(tmp_path)
    with pytest.raises(MappingInvalid, match=r"no plain file|cannot be opened"):
        read_mapping(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"ksize": [1, 2, 2, 1]', '"ksize": [1]', id="pool-of-one-size"),
        pytest.param('"ksize": [1, 2, 2, 1]', '"ksize": 3', id="pool-of-a-number"),
        pytest.param(
            '"strides": [1, 2, 2, 1]', '"strides": ["a", {}, null]', id="strides-of-texts"
        ),
        pytest.param('"strides": [1, 1]', '"strides": [0, -1]', id="strides-of-no-step"),
        pytest.param(
            '"strides": [1, 1]', f'"strides": [{2**40}, {2**70}]', id="strides-without-end"
        ),
    ],
)
def test_a_graph_whose_attributes_do_not_go_together(old, new, tmp_path):
    export, out = tmp_path / "export", tmp_path / "out"
    shutil.copytree(GOLDEN / "segmenter", export)
    graph_text(old, new)(export)
    out.mkdir()
    with limited_memory(MOST_MORE_BYTES):
        last = serve_job(export, out)
    assert last["event"] == "failed"
    assert last["error"]["class"] in ("ExportDamaged", "ModelDoesNotFit", "TensorsDoNotFit"), last
    assert not list(out.iterdir())


def test_an_unforeseen_damage_keeps_its_traceback(tmp_path):
    shutil.copytree(GOLDEN / "segmenter", tmp_path / "export")
    graph_text('"ksize": [1, 2, 2, 1]', '"ksize": [1]')(tmp_path / "export")
    (tmp_path / "out").mkdir()
    error = serve_job(tmp_path / "export", tmp_path / "out")["error"]
    assert error["happened"].startswith(
        "graph.json cannot be read for the model 'unet': ValueError"
    )
    assert "not enough values to unpack" in error["traceback"]


@pytest.mark.parametrize("flatten", [[1, 2], "NHWC", 7, {"shape": 3}, {"data_format": []}])
def test_a_layer_whose_attributes_are_of_other_types(flatten, folder, tmp_path):
    path = folder / "graph.json"
    document = json.loads(path.read_text())
    document["layers"][-1]["attributes"]["flatten"] = flatten
    path.write_text(json.dumps(document))
    (tmp_path / "out").mkdir()
    model = f"{write_model(tmp_path, CLASSIFIER_SOURCE)}:Classifier"
    last = serve_job(folder, tmp_path / "out", model)
    assert last["event"] == "failed"
    assert last["error"]["class"] in ("ExportDamaged", "LayoutUnknown"), last
