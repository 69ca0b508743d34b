"""Folders of estimators: a graph as text, several steps; and prefixes that are odd."""

from __future__ import annotations

import json
import os
import shutil

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file

compat = tensorflow.compat.v1


def save(folder, names=("model.ckpt",), steps=(7,), graph="graph.pbtxt"):
    """Save one dense layer at each step; gives its kernels by step."""
    kernels = {}
    with compat.Graph().as_default() as built, compat.Session() as session:
        x = compat.placeholder("float32", [None, 5], name="x")
        compat.layers.dense(x, 3, name="d")
        session.run(compat.global_variables_initializer())
        saver = compat.train.Saver()
        kernel = compat.trainable_variables()[0]
        for step in steps:
            kernel.load(numpy.full([5, 3], step or 1, "float32"), session)
            for name in names:
                saver.save(session, os.path.join(str(folder), name), global_step=step)
            kernels[step] = session.run(kernel)
        if graph is not None:
            compat.train.write_graph(built, str(folder), graph)
    return kernels


def read(out):
    return json.loads((out / "graph.json").read_text("utf-8"))


def test_the_graph_beside_a_checkpoint_is_read(tmp_path, out, run_extraction):
    folder = tmp_path / "model_dir"
    folder.mkdir()
    kernels = save(folder, steps=(3, 12, 7))
    for name in os.listdir(folder):
        if name.endswith(".meta"):
            os.unlink(folder / name)
    for other in ("eval", "export"):
        (folder / other).mkdir()
    outcome = run_extraction(folder, out, reference=True)
    assert outcome.result["checkpoint"]["step"] == 7
    assert outcome.result["reference"]["state"] == "recorded"
    assert any("read from graph.pbtxt" in one for one in outcome.warnings)
    graph = read(out)
    assert graph["source"]["graph"] == "graph_def"
    assert [layer["kind"] for layer in graph["layers"]] == ["dense"]
    exported = load_file(str(out / "variables.safetensors"))
    numpy.testing.assert_array_equal(exported["d/kernel"], kernels[7])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param('node { name: "other" op: "VariableV2" }', "none of the", id="another-model"),
        pytest.param("node { name: ", "is no GraphDef", id="cut-off"),
        pytest.param("# a graph\n", "no nodes", id="empty"),
    ],
)
def test_a_graph_of_something_else_is_left_aside(tmp_path, out, run_extraction, content, why):
    save(tmp_path, graph=None)
    os.unlink(tmp_path / "model.ckpt-7.meta")
    (tmp_path / "graph.pbtxt").write_text(content)
    outcome = run_extraction(tmp_path / "model.ckpt-7", out)
    assert any("graph.pbtxt is left aside" in one and why in one for one in outcome.warnings)
    assert read(out)["source"]["graph"] is None
    assert [layer["evidence"] for layer in read(out)["layers"]] == ["guessed"]


@pytest.mark.parametrize(
    ("name", "step", "given"),
    [
        pytest.param("ckpt", None, "ckpt", id="bare-word"),
        pytest.param("sub/", None, "sub", id="no-name"),
        pytest.param("sub/", None, "sub/", id="no-name-and-slash"),
        pytest.param("sub/", 100, "sub/", id="step-alone"),
        pytest.param("sub/", 100, "sub/-100", id="step-alone-as-prefix"),
        pytest.param("sub/", None, "sub/.index", id="no-name-index"),
        pytest.param("sub/", None, "sub/.data-00000-of-00001", id="no-name-data"),
        pytest.param("a [b], 100 % \u00e4 ", 4, "a [b], 100 % \u00e4 -4", id="odd-characters"),
    ],
)
@pytest.mark.parametrize("state", [True, False], ids=["checkpoint-file", "without"])
def test_odd_prefixes(tmp_path, out, run_extraction, name, step, given, state):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    kernels = save(folder, (name,), (step,), graph=None)
    if not state:
        os.unlink(folder / os.path.dirname(name) / "checkpoint")
    if name != "sub/":
        shutil.rmtree(folder / "sub")
    outcome = run_extraction(f"{folder}/{given}", out)
    assert outcome.result["checkpoint"]["step"] == step
    assert read(out)["source"]["graph"] == "meta"
    exported = load_file(str(out / "variables.safetensors"))
    numpy.testing.assert_array_equal(exported["d/kernel"], kernels[step])
