from __future__ import annotations

import warnings

import numpy
import pytest
import tensorflow

from stage_extract.graph.meta_file import MetaFile
from stage_extract.reader import VariableInfo
from stage_extract.selecting.optimizer_graph import NO_HINTS, optimizer_hints
from stage_extract.selecting.selection import select

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorflow.contrib import layers as contrib_layers
    from tensorflow.contrib import mixed_precision
    from tensorflow.contrib import opt as contrib_opt

compat = tensorflow.compat.v1
train = compat.train

MODEL = ["net/Momentum", "net/bias", "net/kernel"]

# One row an optimizer; all from TensorFlow 1.15 itself.
OPTIMIZERS = {
    "adadelta": lambda step: train.AdadeltaOptimizer(0.1),
    "adagrad": lambda step: train.AdagradOptimizer(0.1),
    "adagrad_da": lambda step: train.AdagradDAOptimizer(0.1, step),
    "adam": lambda step: train.AdamOptimizer(0.1),
    "ftrl": lambda step: train.FtrlOptimizer(0.1),
    "gradient_descent": lambda step: train.GradientDescentOptimizer(0.1),
    "momentum": lambda step: train.MomentumOptimizer(0.1, 0.9),
    "proximal_adagrad": lambda step: train.ProximalAdagradOptimizer(0.1),
    "proximal_gradient_descent": lambda step: train.ProximalGradientDescentOptimizer(0.1),
    "rms_prop": lambda step: train.RMSPropOptimizer(0.1),
    "rms_prop_centered": lambda step: train.RMSPropOptimizer(0.1, centered=True),
    "contrib_adamax": lambda step: contrib_opt.AdaMaxOptimizer(),
    "contrib_adam_gs": lambda step: contrib_opt.AdamGSOptimizer(step),
    "contrib_adamw": lambda step: contrib_opt.AdamWOptimizer(0.1),
    "contrib_add_sign": lambda step: contrib_opt.AddSignOptimizer(),
    "contrib_ggt": lambda step: contrib_opt.GGTOptimizer(),
    "contrib_lars": lambda step: contrib_opt.LARSOptimizer(0.1),
    "contrib_lazy_adam": lambda step: contrib_opt.LazyAdamOptimizer(),
    "contrib_momentumw": lambda step: contrib_opt.MomentumWOptimizer(0.1, 0.1, 0.9),
    "contrib_nadam": lambda step: contrib_opt.NadamOptimizer(),
    "contrib_power_sign": lambda step: contrib_opt.PowerSignOptimizer(),
    "contrib_reg_adagrad": lambda step: contrib_opt.RegAdagradOptimizer(0.1),
    "contrib_shampoo": lambda step: contrib_opt.ShampooOptimizer(step),
    "contrib_variable_clipping": lambda step: contrib_opt.VariableClippingOptimizer(
        train.AdamOptimizer(0.1), {}, 1.0
    ),
    "contrib_drop_stale_gradient": lambda step: contrib_opt.DropStaleGradientOptimizer(
        train.AdamOptimizer(0.1), 1
    ),
}


def infos(reader):
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    return [
        VariableInfo(name, dtypes[name].base_dtype.name, tuple(shapes[name]))
        for name in sorted(shapes)
    ]


def train_and_save(folder, build_step, resource=False, partitioner=None):
    """Build a model with variables called like slots, train it for no step, and save it."""
    with compat.Graph().as_default(), compat.Session() as session:
        with compat.variable_scope("net", use_resource=resource, partitioner=partitioner):
            kernel = compat.get_variable("kernel", [5, 3])
            bias = compat.get_variable("bias", [3], partitioner=None)
            momentum = compat.get_variable("Momentum", [7])
        x = compat.placeholder("float32", [None, 5])
        loss = compat.reduce_mean(compat.matmul(x, kernel) + bias) * compat.reduce_sum(momentum)
        build_step(loss, train.get_or_create_global_step())
        session.run(compat.global_variables_initializer())
        prefix = train.Saver().save(session, str(folder / "model.ckpt"))
    return infos(train.NewCheckpointReader(prefix)), prefix


# GGT scatters, which resource variables do not know.
OPTIMIZERS_BY_VARIABLES = [
    pytest.param(name, resource, id=f"{name}-{'resource' if resource else 'ref'}")
    for name in sorted(OPTIMIZERS)
    for resource in ((False,) if name == "contrib_ggt" else (False, True))
]


@pytest.mark.parametrize("with_graph", [True, False], ids=["graph", "names-alone"])
@pytest.mark.parametrize(("optimizer", "resource"), OPTIMIZERS_BY_VARIABLES)
def test_leaves_out_what_an_optimizer_made(tmp_path, optimizer, with_graph, resource):
    def minimize(loss, step):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            OPTIMIZERS[optimizer](step).minimize(loss, global_step=step)

    variables, prefix = train_and_save(tmp_path, minimize, resource)
    hints = optimizer_hints(MetaFile(prefix + ".meta")) if with_graph else NO_HINTS
    selection = select(variables, hints, keep_optimizer=False)
    assert [variable.name for variable in selection.kept] == MODEL
    assert len(selection.kept) + len(selection.skipped) == len(variables)
    assert all(skipped.reason for skipped in selection.skipped)


@pytest.mark.parametrize("with_graph", [True, False], ids=["graph", "names-alone"])
@pytest.mark.parametrize("scope", ["a", "dnn", "training", "a/very/long/scope/for/the/optimizer"])
@pytest.mark.parametrize("parts", [1, 3])
def test_slots_made_inside_another_scope(tmp_path, scope, parts, with_graph):
    """For partitioned variables TensorFlow mangles the names: "kernel/t_0/Adagrad"."""

    def minimize(loss, step):
        with compat.variable_scope(scope):
            train.AdagradOptimizer(0.1).minimize(loss, global_step=step)

    partitioner = compat.fixed_size_partitioner(parts)
    variables, prefix = train_and_save(tmp_path, minimize, partitioner=partitioner)
    hints = optimizer_hints(MetaFile(prefix + ".meta")) if with_graph else NO_HINTS
    selection = select(variables, hints, keep_optimizer=False)
    assert [variable.name for variable in selection.kept] == MODEL
    slots = [item for item in selection.skipped if item.category == "optimizer_slot"]
    assert len(slots) == len(variables) - len(MODEL) - 1
    assert {item.reason.partition(" (")[0] for item in slots} == {
        f"Adagrad slot of {name}" for name in MODEL
    }


def test_optimize_loss_of_contrib_layers(tmp_path):
    def minimize(loss, step):
        contrib_layers.optimize_loss(loss, step, learning_rate=0.1, optimizer="Adam")

    variables, prefix = train_and_save(tmp_path, minimize)
    for hints in (optimizer_hints(MetaFile(prefix + ".meta")), NO_HINTS):
        kept = [variable.name for variable in select(variables, hints, False).kept]
        # The learning rate is a variable that no rule of an optimizer's state covers.
        assert kept == ["OptimizeLoss/learning_rate", *MODEL]


def test_loss_scale_optimizer(tmp_path):
    def minimize(loss, step):
        manager = mixed_precision.ExponentialUpdateLossScaleManager(8.0, 10)
        optimizer = mixed_precision.LossScaleOptimizer(train.AdamOptimizer(0.1), manager)
        optimizer.minimize(loss, global_step=step)

    variables, prefix = train_and_save(tmp_path, minimize)
    hints = optimizer_hints(MetaFile(prefix + ".meta"))
    kept = [v.name for v in select(variables, hints, False).kept]
    assert not [name for name in kept if "Adam" in name or "beta" in name]


def test_renamed_optimizer_is_found_by_the_graph(tmp_path):
    def minimize(loss, step):
        train.AdamOptimizer(0.1, name="my_step").minimize(loss, global_step=step)

    variables, prefix = train_and_save(tmp_path, minimize)
    selection = select(variables, optimizer_hints(MetaFile(prefix + ".meta")), keep_optimizer=False)
    assert [variable.name for variable in selection.kept] == MODEL
    reasons = {skipped.variable.name: skipped.reason for skipped in selection.skipped}
    assert "slot of net/kernel" in reasons["net/kernel/my_step_1"]


def test_moving_averages_stay(tmp_path):
    def minimize(loss, step):
        apply = train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        with compat.control_dependencies([apply]):
            train.ExponentialMovingAverage(0.9, step).apply(compat.trainable_variables())

    variables, prefix = train_and_save(tmp_path, minimize)
    hints = optimizer_hints(MetaFile(prefix + ".meta"))
    kept = [v.name for v in select(variables, hints, False).kept]
    assert kept == sorted(MODEL + [name + "/ExponentialMovingAverage" for name in MODEL])


def test_a_trained_variable_is_never_a_slot(tmp_path):
    with compat.Graph().as_default(), compat.Session() as session:
        ball = compat.get_variable("ball", [3])
        momentum = compat.get_variable("ball/Momentum", [3])
        train.GradientDescentOptimizer(0.1).minimize(compat.reduce_sum(ball * momentum))
        session.run(compat.global_variables_initializer())
        prefix = train.Saver().save(session, str(tmp_path / "model"))
    variables = infos(train.NewCheckpointReader(prefix))
    kept = select(variables, optimizer_hints(MetaFile(prefix + ".meta")), False).kept
    assert [variable.name for variable in kept] == ["ball", "ball/Momentum"]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("resource", [False, True])
def test_a_global_step_of_any_name_is_found_by_its_counting(tmp_path, dtype, resource):
    with compat.Graph().as_default(), compat.Session() as session:
        weight = compat.get_variable("weight", [3])
        zero = compat.constant(0, dtype)
        step = compat.Variable(zero, name="runs", use_resource=resource)
        # Counted in other steps, or not at all: a setting of the model.
        size = compat.Variable(compat.constant(5, dtype), name="size", use_resource=resource)
        compat.assign_add(size, compat.constant(2, dtype))
        optimizer = train.GradientDescentOptimizer(0.1)
        optimizer.minimize(compat.reduce_sum(weight), step, var_list=[weight])
        session.run(compat.global_variables_initializer())
        prefix = train.Saver().save(session, str(tmp_path / "model"))
    variables = infos(train.NewCheckpointReader(prefix))
    selection = select(variables, optimizer_hints(MetaFile(prefix + ".meta")), keep_optimizer=False)
    assert [variable.name for variable in selection.kept] == ["size", "weight"]
    assert [one.category for one in selection.skipped] == ["step_counter"]


def test_keep_optimizer_keeps_all_numbers(tmp_path):
    def minimize(loss, step):
        train.AdamOptimizer(0.1).minimize(loss, global_step=step)

    variables, prefix = train_and_save(tmp_path, minimize)
    selection = select(variables, optimizer_hints(MetaFile(prefix + ".meta")), keep_optimizer=True)
    assert list(selection.kept) == variables
    assert selection.skipped == ()


# protobuf warns of bytes behind the message that it accepts.
@pytest.mark.filterwarnings("ignore:Unexpected end-group tag")
@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"hello"])
def test_an_unreadable_graph_gives_no_hints(tmp_path, content):
    path = tmp_path / "model.meta"
    path.write_bytes(content)
    hints = optimizer_hints(MetaFile(str(path)))
    assert not hints.slots
    assert not hints.trainable


def test_variables_of_a_real_training_keep_their_order(tmp_path):
    variables = [
        VariableInfo(f"w{number}", "float32", (5, 3)) for number in numpy.random.permutation(9)
    ]
    selection = select(sorted(variables), NO_HINTS, keep_optimizer=False)
    assert list(selection.kept) == sorted(variables)
