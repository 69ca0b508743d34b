"""Variables of every kind get the checkpoint's values, under whatever names they were saved."""

from __future__ import annotations

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file

from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reference import filling, variables
from stage_extract.reference.filling import FeedingFiller, RestoringFiller

compat = tensorflow.compat.v1


def weighted(value):
    x = compat.placeholder("float32", [None, 6], name="x")
    compat.multiply(x, value, name="out")


def plain():
    weighted(compat.get_variable("weight", [6], initializer=compat.random_normal_initializer()))


def resource():
    weighted(
        compat.get_variable(
            "weight", [6], initializer=compat.random_normal_initializer(), use_resource=True
        )
    )


def partitioned():
    whole = compat.get_variable(
        "weight",
        [6],
        initializer=compat.random_normal_initializer(),
        partitioner=compat.fixed_size_partitioner(2),
    )
    weighted(whole.as_tensor())


def partitioned_resource():
    whole = compat.get_variable(
        "weight",
        [6],
        initializer=compat.random_normal_initializer(),
        partitioner=compat.fixed_size_partitioner(3),
        use_resource=True,
    )
    weighted(whole.as_tensor())


@pytest.mark.parametrize("build", [plain, resource, partitioned, partitioned_resource])
def test_the_output_uses_the_saved_values(save_graph, run_reference, build):
    saved = save_graph(build)
    _, tensors = run_reference(saved, ["x:0"], ["out:0"])
    parts = [saved.values[name] for name in sorted(saved.values)]
    weight = numpy.concatenate(parts)
    assert weight.shape == (6,)
    numpy.testing.assert_array_equal(tensors["out:0"], tensors["x:0"] * weight)


def test_a_prefix_that_reads_like_a_glob(save_graph, run_extraction, tmp_path, out):
    """TensorFlow's own reader would look for `run1/model.ckpt`."""
    saved = save_graph(plain)
    folder = tmp_path / "run[1]"
    folder.mkdir()
    for path in tmp_path.glob("model.ckpt.*"):
        path.rename(folder / path.name)
    outcome = run_extraction(folder / "model.ckpt", out, reference=True)
    assert outcome.result["reference"]["state"] == "recorded"
    tensors = load_file(out / "reference.safetensors")
    outputs = [value for name, value in tensors.items() if name.endswith("out:0")]
    inputs = [value for name, value in tensors.items() if name.endswith("x:0")]
    numpy.testing.assert_array_equal(outputs[0], inputs[0] * saved.values["weight"])


def test_a_renamed_variable_is_found_by_the_savers_names(save_graph, run_reference):
    def saver():
        return compat.train.Saver({"old/name": compat.global_variables()[0]})

    saved = save_graph(plain, saver)
    _, tensors = run_reference(saved, ["x:0"], ["out:0"])
    numpy.testing.assert_array_equal(tensors["out:0"], tensors["x:0"] * saved.values["weight"])


def test_slices_are_read_from_the_whole(save_graph):
    saved = save_graph(partitioned)
    meta = MetaFile(saved.meta_path).parse()
    stored = RestoringFiller(saved.prefix).variables()
    assert [(one.name, one.dtype, one.shape) for one in stored] == [("weight", "float32", (6,))]
    assert variables.variable_sources(meta, meta.graph, stored) == [
        ("weight/part_0", "weight", "6 0,3"),
        ("weight/part_1", "weight", "6 3,3"),
    ]


def feeding(prefix):
    return FeedingFiller(open_source(locate(prefix, None), ExtractOptions()).open_reader)


@pytest.mark.parametrize("filler", [RestoringFiller, feeding])
def test_large_variables_are_filled_in_groups(save_graph, run_reference, monkeypatch, filler):
    def build():
        x = compat.placeholder("float32", [None, 6], name="x")
        names = ["first", "second", "third", "fourth"]
        initial = compat.random_normal_initializer()
        compat.add_n(
            [x * compat.get_variable(name, [6], initializer=initial) for name in names], "out"
        )

    restored = []
    # Two variables of 24 bytes fit.
    monkeypatch.setattr(filling, "GROUP_BYTES", 50)
    saved = save_graph(build)
    used = filler(saved.prefix)
    original = type(used)._add_group

    def spy(self, graph, group):
        restored.append([source.node for source in group])
        return original(self, graph, group)

    monkeypatch.setattr(type(used), "_add_group", spy)
    _, tensors = run_reference(saved, ["x:0"], ["out:0"], filler=used)
    assert restored == [["first", "second"], ["third", "fourth"]]
    total = sum(saved.values.values())
    numpy.testing.assert_allclose(tensors["out:0"], tensors["x:0"] * total, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("filler", [RestoringFiller, feeding])
def test_both_fillers_cut_a_variable_into_its_parts(save_graph, run_reference, filler):
    saved = save_graph(partitioned)
    _, tensors = run_reference(saved, ["x:0"], ["out:0"], filler=filler(saved.prefix))
    whole = numpy.concatenate([saved.values["weight/part_0"], saved.values["weight/part_1"]])
    numpy.testing.assert_array_equal(tensors["out:0"], tensors["x:0"] * whole)
