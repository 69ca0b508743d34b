"""A checkpoint that holds only some of its graph's variables: what is missing is listed."""

from __future__ import annotations

import json

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file

compat = tensorflow.compat.v1


def network(resource=False):
    x = compat.placeholder("float32", [None, 9, 11, 2], name="x")
    with compat.variable_scope("net", use_resource=resource):
        net = compat.layers.conv2d(x, 3, 3, name="c1", bias_initializer=noise())
        net = compat.layers.batch_normalization(net, name="bn")
        net = compat.layers.conv2d(net, 5, 3, name="c2", bias_initializer=noise())
        net = compat.reduce_mean(net, axis=[1, 2], name="features")
        net = compat.layers.dense(net, 7, name="d", bias_initializer=noise())
        return compat.layers.dense(net, 4, name="head")


def noise():
    return compat.random_uniform_initializer(0.5, 1.5)


@pytest.fixture
def save_some(tmp_path):
    """`save_some(wanted)`: a checkpoint of the variables with these names; gives its prefix."""

    def save(is_wanted, **options):
        with compat.Graph().as_default(), compat.Session() as session:
            compat.set_random_seed(5)
            network(**options)
            compat.train.AdamOptimizer(0.1).minimize(
                compat.reduce_sum(compat.trainable_variables()[0])
            )
            session.run(compat.global_variables_initializer())
            wanted = [one for one in compat.global_variables() if is_wanted(one.op.name)]
            return compat.train.Saver(wanted).save(session, str(tmp_path / "model.ckpt"))

    return save


def extract(run_extraction, prefix, out, **options):
    outcome = run_extraction(prefix, out, reference=True, **options)
    return outcome, json.loads((out / "graph.json").read_text("utf-8"))


CASES = [
    pytest.param(
        lambda name: "head" not in name and "Adam" not in name,
        ["net/head/bias", "net/head/kernel"],
        ["conv2d", "batch_norm", "conv2d", "dense"],
        id="no-head",
    ),
    pytest.param(
        lambda name: "c1" not in name and "bn" not in name and "Adam" not in name,
        [f"net/bn/{one}" for one in ("beta", "gamma", "moving_mean", "moving_variance")]
        + ["net/c1/bias", "net/c1/kernel"],
        ["conv2d", "dense", "dense"],
        id="no-stem",
    ),
    pytest.param(
        lambda name: "/d/" not in name,
        ["net/d/bias", "net/d/kernel"],
        ["conv2d", "batch_norm", "conv2d", "dense"],
        id="no-middle",
    ),
    pytest.param(
        lambda name: name != "net/d/bias",
        ["net/d/bias"],
        ["conv2d", "batch_norm", "conv2d", "dense", "dense"],
        id="no-bias",
    ),
]


@pytest.mark.parametrize(("is_wanted", "missing", "kinds"), CASES)
@pytest.mark.parametrize("resource", [False, True], ids=["reference", "resource"])
def test_the_rest_goes_on(save_some, out, run_extraction, is_wanted, missing, kinds, resource):
    prefix = save_some(is_wanted, **({"resource": True} if resource else {}))
    outcome, graph = extract(run_extraction, prefix, out)
    assert [one["variable"] for one in graph["missing"]] == missing
    shapes = {one["variable"]: (one["shape"], one["dtype"]) for one in graph["missing"]}
    assert shapes.get("net/head/kernel", ([7, 4], "float32")) == ([7, 4], "float32")
    assert [layer["kind"] for layer in graph["layers"]] == kinds
    assert [one["tensor"] for one in graph["inputs"]] == ["x:0"]
    assert [one["tensor"] for one in graph["outputs"]] == ["net/head/BiasAdd:0"]
    [told] = [one for one in outcome.warnings if "not in the checkpoint" in one]
    assert told.startswith(f"{len(missing)} of the 12 variables that the network reads")
    reference = graph["reference"]
    assert reference["state"] == "absent"
    assert missing[0] in reference["reason"] or "not in the checkpoint" in reference["reason"]


def test_a_part_that_needs_only_what_is_there_is_run(save_some, out, run_extraction):
    prefix = save_some(lambda name: "head" not in name and "Adam" not in name)
    _, graph = extract(run_extraction, prefix, out, outputs=["net/d/BiasAdd"])
    assert graph["reference"]["state"] == "recorded"
    assert "missing" not in graph
    reference = load_file(str(out / "reference.safetensors"))
    weights = load_file(str(out / "variables.safetensors"))
    features = reference["net/c2/BiasAdd:0"].mean(axis=(1, 2))
    expected = features @ weights["net/d/kernel"] + weights["net/d/bias"]
    numpy.testing.assert_allclose(reference["net/d/BiasAdd:0"], expected, rtol=1e-4)


def test_batch_norm_without_its_statistics(save_some, out, run_extraction):
    """Saver(tf.trainable_variables()), the mistake of many programs."""
    prefix = save_some(
        lambda name: "moving" not in name and "Adam" not in name and "power" not in name
    )
    _, graph = extract(run_extraction, prefix, out)
    assert [one["variable"] for one in graph["missing"]] == [
        "net/bn/moving_mean",
        "net/bn/moving_variance",
    ]
    layer = graph["layers"][1]
    assert (layer["kind"], layer["variables"]) == (
        "batch_norm",
        {"gamma": "net/bn/gamma", "beta": "net/bn/beta"},
    )
    assert "lacks its moving_mean, 'net/bn/moving_mean'" in layer["reason"]


def test_batch_norm_without_its_gamma_is_none_of_ones(save_some, out, run_extraction):
    prefix = save_some(lambda name: name != "net/bn/gamma")
    _, graph = extract(run_extraction, prefix, out)
    assert (graph["layers"][1]["kind"], graph["layers"][1]["reason"]) == (
        "other",
        "the checkpoint lacks its gamma, 'net/bn/gamma'",
    )


def test_inspection_lists_them(save_some, run_extraction):
    prefix = save_some(lambda name: name != "net/d/bias")
    inspection = run_extraction(prefix, command="inspect").result["inspection"]
    [missing] = inspection["missing"]
    assert (missing["variable"], missing["shape"]) == ("net/d/bias", [7])
    assert "'net/d/BiasAdd' (BiasAdd) reads it" in missing["reason"]
