"""V1 checkpoints, as TensorFlow 1.15 still writes them: found, and exported with their graph."""

from __future__ import annotations

import os
import shutil

import numpy
import pytest
import tensorflow

from stage_extract.finding.locate import locate

compat = tensorflow.compat.v1
ONES = numpy.ones([3, 2], "float32")


def build(partitioner=None, devices=("", ""), seed=1):
    """A small network, its variables on two devices, one of them partitioned."""
    with compat.device(devices[0]):
        inputs = compat.placeholder("float32", [None, 5], name="inputs")
        kernel = compat.get_variable("dense/kernel", [5, 3], initializer=noise(seed))
    with compat.device(devices[1]):
        bias = compat.get_variable("dense/bias", [3], initializer=noise(seed + 1))
        embedding = compat.get_variable(
            "emb", [7, 3], initializer=noise(seed + 2), partitioner=partitioner
        )
    hidden = compat.matmul(inputs, kernel) + bias
    compat.identity(compat.matmul(hidden, embedding, transpose_b=True), name="outputs")


def save_slices(path, arrays):
    with compat.Graph().as_default(), compat.Session() as session:
        save = compat.raw_ops.SaveSlices(
            filename=str(path),
            tensor_names=list(arrays),
            shapes_and_slices=[""] * len(arrays),
            data=list(arrays.values()),
        )
        session.run(save)


def noise(seed):
    return compat.random_normal_initializer(seed=seed)


def save(folder, formats=("V1",), steps=(None,), sharded=False, name="model.ckpt", **network):
    """Save the network; gives the variables' values."""
    folder.mkdir(exist_ok=True)
    config = compat.ConfigProto(device_count={"CPU": 2})
    with compat.Graph().as_default(), compat.Session(config=config) as session:
        build(**network)
        session.run(compat.global_variables_initializer())
        for write_version in formats:
            saver = compat.train.Saver(
                write_version=getattr(compat.train.SaverDef, write_version), sharded=sharded
            )
            for step in steps:
                saver.save(session, str(folder / name), global_step=step)
        return {variable.op.name: session.run(variable) for variable in compat.global_variables()}


def assert_exported(one, values):
    assert one.graph["source"]["checkpoint_format"] == "V1"
    assert one.graph["source"]["graph"] == "meta"
    assert set(one.variables) == set(values)
    for name, array in values.items():
        assert one.variables[name].tobytes() == array.tobytes(), name
    assert (one.inputs, one.outputs) == (["inputs:0"], ["outputs:0"])


@pytest.mark.parametrize(
    "given", ["", "model.ckpt-4", "model.ckpt", "model.ckpt-4.meta", "checkpoint"]
)
def test_single_file(tmp_path, exported, given):
    folder = tmp_path / "run"
    values = save(folder, steps=(4,))
    one = exported(folder / given, reference=given == "")
    assert_exported(one, values)
    if given == "":
        assert one.graph["reference"]["state"] == "recorded"
        reference = one.reference
        hidden = reference["inputs:0"] @ values["dense/kernel"] + values["dense/bias"]
        expected = hidden @ values["emb"].T
        numpy.testing.assert_allclose(reference["outputs:0"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "model.ckpt",
        "model.ckpt-00001-of-00002",
        "model.ckpt-?????-of-00002",
        "model.ckpt.meta",
        "checkpoint",
    ],
)
def test_shards_with_a_partitioned_variable(tmp_path, exported, given):
    folder = tmp_path / "run"
    parts = save(
        folder,
        sharded=True,
        devices=("/cpu:0", "/cpu:1"),
        partitioner=compat.fixed_size_partitioner(2),
    )
    assert (folder / "model.ckpt-00000-of-00002").exists()
    whole = numpy.concatenate([parts.pop("emb/part_0"), parts.pop("emb/part_1")])
    one = exported(folder / given, reference=given == "")
    assert_exported(one, {**parts, "emb": whole})
    if given == "":
        assert one.graph["reference"]["state"] == "recorded"


def test_without_a_graph(tmp_path, exported):
    values = save(tmp_path / "run")
    (tmp_path / "run" / "model.ckpt.meta").unlink()
    assert set(exported(tmp_path / "run").variables) == set(values)


def test_newest_of_several_steps(tmp_path):
    save(tmp_path / "run", steps=(8, 30, 9))
    folder = str(tmp_path / "run")
    # The `checkpoint` file names the last that was saved.
    assert locate(folder, None)[:2] == (f"{folder}/model.ckpt-9", 9)
    os.unlink(f"{folder}/checkpoint")
    assert locate(folder, None)[:2] == (f"{folder}/model.ckpt-30", 30)
    assert locate(f"{folder}/model.ckpt", 8).step == 8


@pytest.fixture
def both(tmp_path):
    """A V1 and a V2 checkpoint at one prefix, with other values."""
    folder = tmp_path / "run"
    values = {"V1": save(folder, formats=["V1"])}
    other = tmp_path / "other"
    values["V2"] = save(other, formats=["V2"], seed=11)
    for name in os.listdir(str(other)):
        shutil.copy(str(other / name), str(folder / name))
    return folder, values


@pytest.mark.parametrize("given", ["", "model.ckpt", "model.ckpt.meta", "model.ckpt.index"])
@pytest.mark.parametrize(
    ("chosen", "format_read", "other"), [(None, "V2", "V1"), ("V2", "V2", "V1"), ("V1", "V1", "V2")]
)
def test_of_two_formats_the_newer_is_read_and_the_other_on_request(
    both, exported, given, chosen, format_read, other
):
    folder, values = both
    one = exported(folder / given, checkpoint_format=chosen, reference=True)
    assert one.graph["source"]["checkpoint_format"] == format_read
    assert one.variables["emb"].tobytes() == values[format_read]["emb"].tobytes()
    warnings = one.warnings
    assert any(f"--checkpoint-format {other} takes the other" in text for text in warnings)
    assert f"The {other} checkpoint has other values in 3 of 3" in " ".join(warnings)
    # The run has the values of the same file.
    reference = one.reference
    numpy.testing.assert_allclose(
        reference["outputs:0"],
        (
            reference["inputs:0"] @ values[format_read]["dense/kernel"]
            + values[format_read]["dense/bias"]
        )
        @ values[format_read]["emb"].T,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("mine", "others", "words"),
    [
        pytest.param({}, {}, "has the same values in the 2", id="same"),
        pytest.param({"b": ONES}, {}, "lacks 1 variables (b); it has the same", id="lacks"),
        pytest.param({}, {"b": ONES}, "has besides 1 variables (b)", id="more"),
        pytest.param({"b": ONES}, {"b": ONES[1:]}, "in another shape or type 1", id="shape"),
        pytest.param({"b": ONES}, {"b": ONES + 1}, "other values in 1 of 3 (b)", id="values"),
    ],
)
def test_the_warning_tells_how_two_formats_differ(
    tmp_path, save_bundle, run_extraction, mine, others, words
):
    shared = {"a": ONES, "words": numpy.array([b"x"], object), "z": numpy.int64(7)}
    save_bundle(tmp_path / "model", {**shared, **mine})
    save_slices(tmp_path / "model", {**shared, **others})
    warnings = run_extraction(tmp_path, command="inspect").warnings
    assert any(words in text for text in warnings), warnings


def test_another_format_that_is_damaged_is_told(both, run_extraction):
    folder, _ = both
    (folder / "model.ckpt").write_bytes((folder / "model.ckpt").read_bytes()[:-9] + bytes(9))
    outcome = run_extraction(folder, command="inspect")
    assert any("a V1 checkpoint" in text for text in outcome.warnings)
    assert outcome.result["inspection"]["source"]["checkpoint_format"] == "V2"


def test_a_format_that_is_not_there(tmp_path, run_extraction):
    save(tmp_path / "run")
    for given in ("", "model.ckpt"):
        error = run_extraction(
            tmp_path / "run" / given, command="inspect", checkpoint_format="V2"
        ).error
        assert error["class"] == "NoCheckpointFound"
        assert "only V1" in error["happened"]


def test_missing_shard(tmp_path, run_extraction):
    folder = tmp_path / "run"
    save(folder, sharded=True, devices=("/cpu:0", "/cpu:1"))
    (folder / "model.ckpt-00001-of-00002").unlink()
    for given in ("", "model.ckpt-00000-of-00002", "model.ckpt-00001-of-00002"):
        error = run_extraction(folder / given, command="inspect").error
        assert error["class"] == "DataFileMissing"
        assert "model.ckpt-00001-of-00002" in error["expected"]


def test_shards_that_link_to_each_other(tmp_path, run_extraction):
    folder = tmp_path / "run"
    save(folder, sharded=True, devices=("/cpu:0", "/cpu:1"))
    shards = [folder / f"model.ckpt-0000{number}-of-00002" for number in (0, 1)]
    shards[1].unlink()
    shards[1].symlink_to(shards[0])
    error = run_extraction(folder, command="inspect").error
    assert error["class"] == "CorruptIndex"
    assert "overlap" in error["happened"]
    for shard in shards:
        shard.unlink()
    shards[0].symlink_to(shards[1])
    shards[1].symlink_to(shards[0])
    assert run_extraction(folder, command="inspect").error["exit_code"] in (31, 37)


def test_shards_of_two_saves(tmp_path, run_extraction):
    folder = tmp_path / "run"
    save(folder, sharded=True, devices=("/cpu:0", "/cpu:1"))
    shutil.copy(
        str(folder / "model.ckpt-00000-of-00002"), str(folder / "model.ckpt-00000-of-00001")
    )
    assert run_extraction(folder, command="inspect").error["class"] == "AmbiguousCheckpoint"


@pytest.mark.parametrize("size_bytes", [30, 100, -1])
def test_file_that_is_cut_off(tmp_path, run_extraction, size_bytes):
    save(tmp_path / "run")
    path = tmp_path / "run" / "model.ckpt"
    path.write_bytes(path.read_bytes()[:size_bytes])
    for given in (path, tmp_path / "run"):
        error = run_extraction(given, command="inspect").error
        assert error["class"] == "TruncatedData"
        assert "a V1 checkpoint" in error["happened"]


def test_damaged_file(tmp_path, run_extraction, out):
    save(tmp_path / "run")
    path = tmp_path / "run" / "model.ckpt"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    error = run_extraction(path, out).error
    assert error["class"] == "CorruptIndex"
    assert "checksum" in error["happened"]
    assert os.listdir(str(out)) == []
