from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file

from stage_extract import export, memory
from stage_extract.errors import NotReadable
from stage_extract.writing.hashing import InputHasher

compat = tensorflow.compat.v1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of a small trained network, with graph, slots, step and a string."""
    folder = tmp_path_factory.mktemp("a folder, with: “ä” & 'quotes'")
    with compat.Graph().as_default(), compat.Session() as session:
        x = compat.placeholder("float32", [None, 9, 11, 2], name="x")
        labels = compat.placeholder("float32", [None, 9, 11, 3])
        logits = compat.layers.conv2d(x, 3, [3, 5], padding="same", name="conv")
        loss = compat.reduce_mean(compat.square(logits - labels))
        step = compat.train.get_or_create_global_step()
        train = compat.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        compat.get_variable("words", initializer=numpy.array([b"a", b"bc"], object))
        session.run(compat.global_variables_initializer())
        feed = {x: numpy.ones([1, 9, 11, 2]), labels: numpy.zeros([1, 9, 11, 3])}
        session.run(train, feed)
        return compat.train.Saver().save(session, str(folder / "model.ckpt"), global_step=step)


def test_result_describes_the_export(trained, out, run_extraction):
    result = run_extraction(os.path.dirname(trained), out).result
    checkpoint = result.pop("checkpoint")
    assert (checkpoint["prefix"], checkpoint["step"]) == ("model.ckpt-1", 1)
    assert [file["name"] for file in checkpoint["files"]] == [
        "model.ckpt-1.index",
        "model.ckpt-1.data-00000-of-00001",
        "model.ckpt-1.meta",
    ]
    for file in checkpoint["files"]:
        with open(os.path.join(os.path.dirname(trained), file["name"]), "rb") as source:
            content = source.read()
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert result["variables"] == 2
    assert result["size_bytes"] == 4 * (3 * 5 * 2 * 3 + 3)
    assert result["skipped"] == 8
    assert result["evidence"] == "graph"
    assert [entry["tensor"] for entry in result["inputs"]] == ["x:0"]
    assert result["reference"] == {"state": "absent", "reason": "it was not asked for"}


def test_variables_are_tensorflows_to_the_bit(trained, out, run_extraction):
    run_extraction(trained, out)
    reader = compat.train.NewCheckpointReader(trained)
    read = load_file(str(out / "variables.safetensors"))
    assert sorted(read) == ["conv/bias", "conv/kernel"]
    for name, array in read.items():
        assert array.tobytes() == reader.get_tensor(name).tobytes()
        assert array.shape == reader.get_tensor(name).shape


def test_graph_lists_every_tensor_once(trained, out, run_extraction):
    run_extraction(trained, out)
    graph = json.loads((out / "graph.json").read_text(encoding="utf-8"))
    assert [variable["name"] for variable in graph["variables"]] == ["conv/bias", "conv/kernel"]
    assert [(entry["name"], entry["category"]) for entry in graph["skipped"]] == [
        ("beta1_power", "optimizer_slot"),
        ("beta2_power", "optimizer_slot"),
        ("conv/bias/Adam", "optimizer_slot"),
        ("conv/bias/Adam_1", "optimizer_slot"),
        ("conv/kernel/Adam", "optimizer_slot"),
        ("conv/kernel/Adam_1", "optimizer_slot"),
        ("global_step", "step_counter"),
        ("words", "string"),
    ]


def test_keep_optimizer(trained, out, run_extraction):
    assert run_extraction(trained, out, keep_optimizer=True).result["variables"] == 9
    names = set(load_file(str(out / "variables.safetensors")))
    assert {"conv/kernel/Adam_1", "global_step", "beta1_power"} < names
    graph = json.loads((out / "graph.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in graph["skipped"]] == ["words"]


def extract_in_new_process(checkpoint, out, hash_seed):
    out.mkdir()
    job = {"job": "1", "command": "extract", "checkpoint": checkpoint, "out": str(out)}
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    subprocess.run(
        [sys.executable, "-m", "stage_extract"],
        input=json.dumps(job).encode(),
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_equal_input_gives_equal_bytes(trained, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    extract_in_new_process(trained, first, "1")
    extract_in_new_process(os.path.dirname(trained), second, "77")
    names = ["graph.json", "reference.safetensors", "variables.safetensors"]
    assert sorted(path.name for path in first.iterdir()) == names
    for name in names:
        content = (first / name).read_bytes()
        assert content == (second / name).read_bytes(), name
        # No path of this run, and no time: the files are the same for ever.
        assert os.fsencode(str(tmp_path)) not in content
        assert os.fsencode(os.path.dirname(trained)) not in content


def test_inspect_writes_nothing(trained, out, run_extraction):
    before = sorted(os.listdir(os.path.dirname(trained)))
    result = run_extraction(trained, command="inspect").result
    assert sorted(result) == ["inspection"]
    assert sorted(os.listdir(os.path.dirname(trained))) == before
    assert os.listdir(str(out)) == []


def test_export_without_graph_is_guessed(checkpoint, out, run_extraction):
    result = run_extraction(checkpoint, out, reference=True).result
    assert result["evidence"] == "guessed"
    assert result["reference"]["state"] == "absent"
    assert "no .meta" in result["reference"]["reason"]
    assert sorted(path.name for path in out.iterdir()) == ["graph.json", "variables.safetensors"]


def test_object_based_checkpoint_is_read_under_its_variables_names(tmp_path, out, run_extraction):
    layer = tensorflow.keras.layers.Dense(3, name="dense")
    with compat.Graph().as_default(), compat.Session() as session:
        layer(compat.placeholder("float32", [None, 5]))
        saver = tensorflow.train.Checkpoint(layer=layer)
        session.run(compat.global_variables_initializer())
        prefix = saver.save(str(tmp_path / "object"), session=session)
    result = run_extraction(prefix, out).result
    assert sorted(load_file(str(out / "variables.safetensors"))) == [
        "dense/bias",
        "dense/kernel",
    ]
    assert result["skipped"] == 2


@pytest.mark.parametrize("late", ["write_graph", "_complete_graph"])
def test_a_late_failure_removes_what_was_written(
    checkpoint, out, run_extraction, monkeypatch, late
):
    def fail(*_):
        assert (out / "variables.safetensors").exists()
        raise NotReadable("Gone.", "Expected a disk.", "Plug it in.")

    monkeypatch.setattr(export, late, fail)
    assert run_extraction(checkpoint, out).error["class"] == "NotReadable"
    assert os.listdir(str(out)) == []


def test_a_failing_hash_removes_what_was_written(checkpoint, out, run_extraction, monkeypatch):
    def fail(self):
        assert (out / "graph.json").exists()
        raise NotReadable("Gone.", "Expected a disk.", "Plug it in.")

    monkeypatch.setattr(InputHasher, "result", fail)
    assert run_extraction(checkpoint, out).error["class"] == "NotReadable"
    assert os.listdir(str(out)) == []


def test_progress_ends_with_all_variables(checkpoint, out, run_extraction):
    events = run_extraction(checkpoint, out).events
    progress = [event for event in events if event["event"] == "progress"]
    assert progress[-1]["phase"] == "variables"
    assert (progress[-1]["done"], progress[-1]["total"]) == (5, 5)


def test_warnings_of_the_search_reach_the_host(checkpoint, out, run_extraction):
    state = os.path.join(os.path.dirname(checkpoint), "checkpoint")
    with open(state, "w", encoding="utf-8") as file:
        file.write('model_checkpoint_path: "C:\\\\models\\\\gone-7"\n')
    (warning,) = run_extraction(os.path.dirname(checkpoint), out).warnings
    assert "gone-7" in warning


def test_unsupported_element_types_are_said_loudly(tmp_path, out, save_bundle, run_extraction):
    arrays = {"phase": numpy.array([1 + 2j], "complex128"), "w": numpy.ones(3, "float32")}
    outcome = run_extraction(save_bundle(tmp_path / "model", arrays), out)
    assert outcome.result["variables"] == 1
    assert any("'phase' is left out" in warning for warning in outcome.warnings)


def test_memory_does_not_grow_with_the_tensors(tmp_path, out, save_bundle, run_extraction):
    # A first job lets every module be imported and every cache be filled.
    run_extraction(save_bundle(tmp_path / "small", {"w": numpy.ones(3, "float32")}), out)
    arrays = {f"w{index}": numpy.full(10_000_000 + index, 1.5, "float32") for index in range(3)}
    prefix = save_bundle(tmp_path / "large", arrays)
    del arrays
    if not memory.reset_peak_memory():
        pytest.skip("the kernel does not let a process reset its peak")
    before_bytes = memory.peak_memory_bytes()
    done = run_extraction(prefix, out).last
    assert done["result"]["size_bytes"] > 120_000_000
    assert done["peak_memory_bytes"] - before_bytes < 32 * 2**20
