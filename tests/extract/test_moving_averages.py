"""--prefer-ema: moving averages take their variables' places, in the layers and in the proof."""

from __future__ import annotations

import json

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file

from tests.extract.recorded import extract

compat = tensorflow.compat.v1
SHADOW = "/ExponentialMovingAverage"


def network(resource=False, partitioner=None):
    """x -> 5 channels with batch norm -> out of 3."""
    x = compat.placeholder("float32", [None, 7], name="x")
    with compat.variable_scope("net", use_resource=resource):
        net = compat.layers.dense(x, 5, use_bias=False, name="d1")
        net = compat.layers.batch_normalization(net, name="bn", momentum=0.5)
        kernel = compat.get_variable("d2/kernel", [5, 3], partitioner=partitioner)
        bias = compat.get_variable("d2/bias", [3])
        return compat.identity(compat.matmul(net, kernel) + bias, name="out")


def averaged(average, variables):
    """Make each shadow another than its variable: the average of random later values."""
    update = average.apply(variables)
    with compat.control_dependencies([update]):
        return compat.no_op()


def train(folder, apply, make_saver=None, **options):
    """Train nothing, but draw all variables anew between updates of the averages."""
    prefix = str(folder / "model.ckpt")
    with compat.Graph().as_default(), compat.Session() as session:
        compat.set_random_seed(3)
        network(**options)
        update = apply()
        saver = compat.train.Saver() if make_saver is None else make_saver()
        random = numpy.random.RandomState(5)
        session.run(compat.global_variables_initializer())
        for variable in compat.global_variables():
            drawn = random.uniform(0.5, 1.5, variable.shape.as_list())
            variable.load(drawn.astype(variable.dtype.base_dtype.as_numpy_dtype), session)
        session.run(update)
        values = {one.op.name: session.run(one) for one in compat.global_variables()}
        saver.save(session, prefix)
    return prefix, values


def expected(x, values, suffix):
    def value(name):
        return values.get(f"net/{name}{suffix}", values[f"net/{name}"])

    net = x @ value("d1/kernel")
    scale = value("bn/gamma") / numpy.sqrt(value("bn/moving_variance") + 1e-3)
    net = (net - value("bn/moving_mean")) * scale + value("bn/beta")
    return net @ value("d2/kernel") + value("d2/bias")


def trained_only(name="ExponentialMovingAverage"):
    average = compat.train.ExponentialMovingAverage(0.75, name=name)
    return averaged(average, compat.trainable_variables())


def with_statistics():
    """As EfficientNet: the moving statistics have averages too, and the decay grows with steps."""
    step = compat.train.get_or_create_global_step()
    average = compat.train.ExponentialMovingAverage(0.9999, num_updates=step)
    return averaged(average, [*compat.trainable_variables(), *statistics()])


def statistics():
    return [one for one in compat.global_variables() if "moving_" in one.op.name]


def inside_a_scope():
    with compat.variable_scope("averages"):
        return averaged(compat.train.ExponentialMovingAverage(0.75), compat.trainable_variables())


CASES = [
    pytest.param(trained_only, {}, SHADOW, 5, id="trained"),
    pytest.param(trained_only, {"resource": True}, SHADOW, 5, id="resource"),
    pytest.param(with_statistics, {}, SHADOW, 7, id="efficientnet"),
    pytest.param(lambda: trained_only("EMA"), {}, "/EMA", 5, id="tensorpack"),
    # No name tells; the ops that update the shadows do.
    pytest.param(lambda: trained_only("slow"), {}, "/slow", 5, id="a-name-of-its-own"),
]


@pytest.mark.parametrize(("apply", "options", "suffix", "count"), CASES)
def test_the_averages_are_described_and_run(
    tmp_path, out, run_extraction, apply, options, suffix, count
):
    prefix, values = train(tmp_path, apply, **options)
    outcome, graph, reference = extract(run_extraction, prefix, out, prefer_ema=True)
    assert any(f"averages of {count} variables are taken" in one for one in outcome.warnings)
    numpy.testing.assert_allclose(
        reference["net/out:0"], expected(reference["x:0"], values, suffix), rtol=1e-4
    )
    used = {name for layer in graph["layers"] for name in layer["variables"].values()}
    assert sum(name.endswith(suffix) for name in used) == count
    for entry in graph["variables"]:
        average = entry["name"] + suffix
        if average in used:
            assert (
                entry["reason"] == f"left aside for its moving average '{average}' (--prefer-ema)"
            )
            assert entry["layers"] == []
        elif entry["name"] in used:
            assert entry["trainable"] is ("moving_" not in entry["name"])
            assert entry["role"] is not None
    # All of both are there, and what training left beside is no shadow.
    exported = load_file(str(out / "variables.safetensors"))
    assert set(exported) == set(values) - {"global_step"}
    for name, value in exported.items():
        numpy.testing.assert_array_equal(value, values[name])


@pytest.mark.parametrize(("apply", "options", "suffix", "count"), CASES)
def test_without_a_choice_the_trained_values_are_used_and_the_choice_is_told(
    tmp_path, out, run_extraction, apply, options, suffix, count
):
    prefix, values = train(tmp_path, apply, **options)
    outcome, graph, reference = extract(run_extraction, prefix, out)
    [told] = [one for one in outcome.warnings if "--prefer-ema" in one]
    assert told.startswith(f"{count} variables have moving averages")
    numpy.testing.assert_allclose(
        reference["net/out:0"], expected(reference["x:0"], values, ""), rtol=1e-4
    )
    reasons = {entry["name"]: entry["reason"] for entry in graph["variables"]}
    assert reasons["net/d2/bias" + suffix] == (
        "the moving average of 'net/d2/bias', left aside: --prefer-ema takes it"
    )
    assert "missing" not in graph


def test_decay_is_that_of_the_batch_norm(tmp_path, out, run_extraction):
    def apply():
        with compat.control_dependencies(compat.get_collection("update_ops")):
            return with_statistics()

    prefix, _ = train(tmp_path, apply)
    _, graph, _ = extract(run_extraction, prefix, out, prefer_ema=True)
    [layer] = [one for one in graph["layers"] if one["kind"] == "batch_norm"]
    assert layer["variables"]["moving_mean"] == "net/bn/moving_mean" + SHADOW
    assert "decay" in layer["attributes"]


def test_partitioned_variables_have_one_average(tmp_path, out, run_extraction):
    def apply():
        average = compat.train.ExponentialMovingAverage(0.75)
        return averaged(average, compat.trainable_variables())

    parts = compat.fixed_size_partitioner(2)
    prefix, values = train(tmp_path, apply, partitioner=parts)
    joined = {}
    for suffix in ("", SHADOW):
        names = sorted(one for one in values if "part_" in one and (SHADOW in one) == bool(suffix))
        joined["net/d2/kernel" + suffix] = numpy.concatenate([values[name] for name in names])
    _, graph, reference = extract(run_extraction, prefix, out, prefer_ema=True)
    numpy.testing.assert_allclose(
        reference["net/out:0"], expected(reference["x:0"], {**values, **joined}, SHADOW), rtol=1e-4
    )
    [kernel] = [one for one in graph["variables"] if one["name"] == "net/d2/kernel" + SHADOW]
    assert (kernel["role"], len(kernel["partitions"]["names"])) == ("kernel", 2)


def test_a_saver_of_averages_leaves_no_choice(tmp_path, out, run_extraction):
    """ema.variables_to_restore(): the file holds the averages, under the shadows' names."""
    made = []

    def apply():
        made.append(compat.train.ExponentialMovingAverage(0.75))
        return averaged(made[0], compat.trainable_variables())

    def make_saver():
        shadows = {
            made[0].average_name(v): made[0].average(v) for v in compat.trainable_variables()
        }
        rest = {v.op.name: v for v in statistics()}
        return compat.train.Saver({**shadows, **rest})

    prefix, values = train(tmp_path, apply, make_saver)
    with compat.Graph().as_default():
        network()
        average = compat.train.ExponentialMovingAverage(0.75)
        average.apply(compat.trainable_variables())
        saver = compat.train.Saver(average.variables_to_restore())
        saver.export_meta_graph(prefix + ".meta")
    outcome, _, reference = extract(run_extraction, prefix, out)
    numpy.testing.assert_allclose(
        reference["net/out:0"], expected(reference["x:0"], values, SHADOW), rtol=1e-4
    )
    assert outcome.warnings == []


def test_a_saver_that_swaps_averages_is_seen_through(tmp_path, out, run_extraction):
    """contrib's MovingAverageOptimizer saves each average under its variable's own name."""
    made = []

    def apply():
        made.append(compat.train.ExponentialMovingAverage(0.75))
        return averaged(made[0], compat.trainable_variables())

    def make_saver():
        keys = {one.op.name: one for one in compat.global_variables()}
        for one in compat.trainable_variables():
            shadow = made[0].average(one)
            keys[one.op.name], keys[shadow.op.name] = shadow, one
        return compat.train.Saver(keys)

    prefix, values = train(tmp_path, apply, make_saver)
    _, graph, reference = extract(run_extraction, prefix, out, prefer_ema=True)
    numpy.testing.assert_allclose(
        reference["net/out:0"], expected(reference["x:0"], values, SHADOW), rtol=1e-4
    )
    used = {name for layer in graph["layers"] for name in layer["variables"].values()}
    assert not any(name.endswith(SHADOW) for name in used)


@pytest.mark.parametrize("prefer_ema", [False, True])
def test_without_a_graph_names_tell(tmp_path, out, run_extraction, save_bundle, prefer_ema):
    random = numpy.random.RandomState(4)
    shapes = {"c/kernel": (7, 5), "c/bias": (5,), "bn/mean/EMA": (5,), "bn/variance/EMA": (5,)}
    arrays = {name: random.rand(*shape).astype("float32") for name, shape in shapes.items()}
    arrays["bn/gamma"] = arrays["bn/beta"] = arrays["c/bias"]
    shadows = {
        "scope/c/kernel" + SHADOW: arrays["c/kernel"] + 1,
        "c/bias/EMA": arrays["c/bias"] + 1,
    }
    prefix = save_bundle(tmp_path / "model.ckpt", {**arrays, **shadows})
    outcome = run_extraction(prefix, out, prefer_ema=prefer_ema)
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    by_kind = {layer["kind"]: layer["variables"] for layer in graph["layers"]}
    assert by_kind["dense"] == (
        {"kernel": "scope/c/kernel" + SHADOW, "bias": "c/bias/EMA"}
        if prefer_ema
        else {"kernel": "c/kernel", "bias": "c/bias"}
    )
    assert by_kind["batch_norm"]["moving_mean"] == "bn/mean/EMA"
    assert any("2 variables" in one for one in outcome.warnings)


def test_asking_for_averages_that_are_not_there_is_said(tmp_path, out, run_extraction):
    prefix, _ = train(tmp_path, compat.no_op)
    outcome, _, _ = extract(run_extraction, prefix, out, prefer_ema=True)
    assert any("--prefer-ema: there are none" in one for one in outcome.warnings)
