"""The state of further optimizers, and model variables that are called like it."""

from __future__ import annotations

import warnings

import pytest
import tensorflow

from stage_extract.graph.meta_file import MetaFile
from stage_extract.reader import VariableInfo
from stage_extract.selecting.optimizer_graph import NO_HINTS, optimizer_hints
from stage_extract.selecting.selection import select

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorflow.contrib import opt as contrib_opt
    from tensorflow.contrib import optimizer_v2
    from tensorflow.python.keras import optimizers as first_keras_optimizers
    from tensorflow.python.training import device_setter
    from tensorflow.python.training.experimental import loss_scale as loss_scales
    from tensorflow.python.training.experimental import loss_scale_optimizer

compat = tensorflow.compat.v1
train = compat.train
keras = tensorflow.keras
MODEL = ["net/Momentum", "net/bias", "net/kernel"]
SHADOW = "/ExponentialMovingAverage"


def infos(prefix):
    reader = train.NewCheckpointReader(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return [
        VariableInfo(name, dtypes[name].base_dtype.name, tuple(shapes[name]))
        for name in sorted(shapes)
    ]


def kept_names(prefix, with_graph):
    variables = infos(prefix)
    hints = optimizer_hints(MetaFile(prefix + ".meta"), variables) if with_graph else NO_HINTS
    return [variable.name for variable in select(variables, hints, keep_optimizer=False).kept]


def save(folder, build, make_saver=None):
    with compat.Graph().as_default(), compat.Session() as session:
        keras.backend.set_session(session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build()
        session.run(compat.global_variables_initializer())
        saver = train.Saver(compat.global_variables()) if make_saver is None else make_saver()
        return saver.save(session, str(folder / "model.ckpt"))


def network(resource, partitioner=None):
    with compat.variable_scope("net", use_resource=resource):
        kernel = compat.get_variable("kernel", [6, 3], partitioner=partitioner)
        bias = compat.get_variable("bias", [3])
        momentum = compat.get_variable("Momentum", [7])
    x = compat.placeholder("float32", [None, 6])
    return compat.reduce_mean(compat.matmul(x, kernel) + bias) * compat.reduce_sum(momentum)


def loss_scale(step):
    return loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(
        train.AdamOptimizer(0.1), loss_scales.DynamicLossScale()
    )


def decoupled(step):
    optimizer = contrib_opt.extend_with_decoupled_weight_decay(train.AdadeltaOptimizer)
    return optimizer(weight_decay=0.1, learning_rate=0.1)


OPTIMIZERS = {
    "sync_replicas": lambda step: train.SyncReplicasOptimizer(train.AdamOptimizer(0.1), 2, 2),
    "loss_scale": loss_scale,
    "multitask": lambda step: contrib_opt.MultitaskOptimizerWrapper(train.AdamOptimizer(0.1)),
    "decoupled": decoupled,
    "lazy_adam_gs": contrib_opt.LazyAdamGSOptimizer,
    "v2_adam": lambda step: optimizer_v2.AdamOptimizer(0.1),
    "v2_momentum": lambda step: optimizer_v2.MomentumOptimizer(0.1, 0.9),
    "v2_rms_prop": lambda step: optimizer_v2.RMSPropOptimizer(0.1),
}
GRAPH_OR_NAMES = pytest.mark.parametrize("with_graph", [True, False], ids=["graph", "names-alone"])


@GRAPH_OR_NAMES
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_wrapped_optimizers(tmp_path, name, resource, with_graph):
    def build():
        loss, step = network(resource), train.get_or_create_global_step()
        optimizer = OPTIMIZERS[name](step)
        optimizer.apply_gradients(optimizer.compute_gradients(loss), global_step=step)

    assert kept_names(save(tmp_path, build), with_graph) == MODEL


@GRAPH_OR_NAMES
def test_moving_average_optimizer(tmp_path, with_graph):
    def build():
        optimizer = contrib_opt.MovingAverageOptimizer(train.AdamOptimizer(0.1), 0.9)
        optimizer.minimize(network(False))

    assert kept_names(save(tmp_path, build), with_graph) == sorted(
        [*MODEL, *(name + SHADOW for name in MODEL)]
    )


@GRAPH_OR_NAMES
@pytest.mark.parametrize("scope", ["", "my/scope"])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("Adadelta", {}, id="adadelta"),
        pytest.param("Adagrad", {}, id="adagrad"),
        pytest.param("Adam", {"amsgrad": True}, id="adam"),
        pytest.param("Adamax", {"name": "own_name"}, id="adamax"),
        pytest.param("Ftrl", {}, id="ftrl"),
        pytest.param("Nadam", {}, id="nadam"),
        pytest.param("RMSprop", {"centered": True, "momentum": 0.9}, id="rms-prop"),
        pytest.param("SGD", {"momentum": 0.9}, id="sgd"),
    ],
)
def test_keras_optimizers_outside_of_fit(tmp_path, name, options, parts, scope, with_graph):
    def build():
        partitioner = compat.fixed_size_partitioner(parts) if parts > 1 else None
        loss = network(True, partitioner)
        variables = compat.trainable_variables()
        gradients = compat.gradients(loss, variables)
        with compat.variable_scope(scope or compat.get_variable_scope()):
            getattr(keras.optimizers, name)(**options).apply_gradients(zip(gradients, variables))

    assert kept_names(save(tmp_path, build), with_graph) == MODEL


@GRAPH_OR_NAMES
@pytest.mark.parametrize("name", ["Adadelta", "Adam", "Nadam", "RMSprop", "SGD"])
@pytest.mark.parametrize(
    "module", [keras.optimizers, first_keras_optimizers], ids=["second", "first"]
)
def test_keras_optimizers_of_fit(tmp_path, module, name, with_graph):
    """The first Keras optimizers call all of their state trainable, and "training/Variable_3"."""

    def build():
        layers = [keras.layers.Dense(3, input_shape=(4,), name="d")]
        model = keras.Sequential([*layers, keras.layers.BatchNormalization(name="bn")])
        model.compile(getattr(module, name)(), "mse")
        model._make_train_function()

    assert kept_names(save(tmp_path, build), with_graph) == [
        "bn/beta",
        "bn/gamma",
        "bn/moving_mean",
        "bn/moving_variance",
        "d/bias",
        "d/kernel",
    ]


@pytest.mark.parametrize(
    ("getter", "make"),
    [
        pytest.param(
            contrib_opt.ElasticAverageCustomGetter,
            lambda getter: contrib_opt.ElasticAverageOptimizer(
                train.GradientDescentOptimizer(0.1), 1, getter, communication_period=1
            ),
            id="elastic",
        ),
        pytest.param(
            contrib_opt.ModelAverageCustomGetter,
            lambda getter: contrib_opt.ModelAverageOptimizer(
                train.AdamOptimizer(0.1), 1, True, getter, interval_steps=2
            ),
            id="model-average",
        ),
        pytest.param(
            contrib_opt.AGNCustomGetter,
            lambda getter: contrib_opt.AGNOptimizer(
                train.AdamOptimizer(0.1), 1, getter, communication_period=2
            ),
            id="agn",
        ),
    ],
)
def test_the_mean_of_workers_fills_their_variables(tmp_path, save_bundle, getter, make):
    with compat.Graph().as_default():
        getter = getter(worker_device="/job:worker/task:0")
        servers = device_setter.replica_device_setter(
            worker_device="/job:worker/task:0", ps_device="/job:ps/task:0/cpu:0", ps_tasks=1
        )
        with compat.device(servers), compat.variable_scope("", custom_getter=getter):
            step = compat.Variable(0, name="global_step", trainable=False)
            loss = compat.reduce_sum(compat.get_variable("net/w", [3, 2]))
        with compat.device("/job:worker/task:0"):
            optimizer = make(getter)
            optimizer.apply_gradients(optimizer.compute_gradients(loss), global_step=step)
        variables = sorted(
            VariableInfo(one.op.name, one.dtype.base_dtype.name, tuple(one.shape.as_list()))
            for one in compat.global_variables()
        )
        train.Saver(compat.global_variables()).export_meta_graph(str(tmp_path / "m.meta"))
    hints = optimizer_hints(MetaFile(str(tmp_path / "m.meta")), variables)
    for given in (hints, NO_HINTS):
        kept = [variable.name for variable in select(variables, given, False).kept]
        assert kept == ["global_center_variable/net/w"]


@GRAPH_OR_NAMES
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda name: name + ":0", id="output-behind"),
        pytest.param(lambda name: "old/" + name, id="prefix"),
    ],
)
def test_slots_under_other_keys(tmp_path, change, with_graph):
    def build():
        step = train.get_or_create_global_step()
        train.AdamOptimizer(0.1).minimize(network(False), global_step=step)

    def make_saver():
        return train.Saver({change(one.op.name): one for one in compat.global_variables()})

    prefix = save(tmp_path, build, make_saver)
    assert kept_names(prefix, with_graph) == [change(name) for name in MODEL]


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_a_graph_without_training_shows_that_a_name_is_no_slot(tmp_path, resource):
    """A gate, and beside it what it calls Momentum and Adam, of the gate's own shape."""

    def build():
        with compat.variable_scope("", use_resource=resource):
            x = compat.placeholder("float32", [None, 3])
            for name in ("gate", "gate/Momentum", "gate/Adam", "gate/Adam_1"):
                x = x * compat.get_variable(name, [3], trainable=False)

    prefix = save(tmp_path, build)
    names = ["gate", "gate/Adam", "gate/Adam_1", "gate/Momentum"]
    assert kept_names(prefix, with_graph=True) == names
    # Names alone cannot tell; what is left out is listed.
    assert kept_names(prefix, with_graph=False) == ["gate"]


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_bert_writes_slots_without_an_op_of_an_optimizer(tmp_path, resource):
    def build():
        loss = network(resource)
        variables = compat.trainable_variables()
        for one, gradient in zip(variables, compat.gradients(loss, variables)):
            slots = [
                compat.get_variable(
                    f"{one.op.name}/{word}", one.shape, trainable=False, use_resource=resource
                )
                for word in ("adam_m", "adam_v")
            ]
            for slot in slots:
                slot.assign(0.9 * slot + 0.1 * gradient)

    assert kept_names(save(tmp_path, build), with_graph=True) == MODEL
