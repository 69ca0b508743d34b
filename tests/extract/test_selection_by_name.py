from __future__ import annotations

import pytest

from stage_extract.reader import VariableInfo
from stage_extract.selecting.optimizer_graph import NO_HINTS
from stage_extract.selecting.selection import select

W = VariableInfo("bert/w", "float32", (5, 3))


def scalar(name, dtype="float32"):
    return VariableInfo(name, dtype, ())


@pytest.mark.parametrize(
    ("variable", "category"),
    [
        pytest.param(W._replace(name="bert/w/adam_m"), "optimizer_slot", id="bert-adam-m"),
        pytest.param(W._replace(name="bert/w/adam_v"), "optimizer_slot", id="bert-adam-v"),
        pytest.param(
            W._replace(name="bert/w/LAMBOptimizer_1/adam_v"), "optimizer_slot", id="albert-lamb"
        ),
        pytest.param(
            VariableInfo("bert/w_slot_vr", "float32", (5,)), "optimizer_slot", id="mesh-adafactor"
        ),
        pytest.param(
            VariableInfo("training/bert/w/Adafactor_1", "float32", (3,)),
            "optimizer_slot",
            id="tensor2tensor-adafactor",
        ),
        pytest.param(scalar("beta1_power"), "optimizer_slot", id="beta1"),
        pytest.param(scalar("train/beta2_power_3"), "optimizer_slot", id="beta2-of-a-scope"),
        pytest.param(
            W._replace(name="training/Adam/bert/w/v"), "optimizer_slot", id="keras-graph-mode"
        ),
        pytest.param(
            W._replace(name="training_1/RMSprop/Variable_7"), "optimizer_slot", id="keras-2.2"
        ),
        pytest.param(scalar("Adam/beta_1"), "optimizer_slot", id="keras-setting"),
        pytest.param(scalar("Adam_1/iterations", "int64"), "step_counter", id="keras-iterations"),
        pytest.param(scalar("training/Adam/iter", "int64"), "step_counter", id="keras-iter"),
        pytest.param(
            W._replace(name="layer/w/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE"),
            "optimizer_slot",
            id="object-slot",
        ),
        pytest.param(
            scalar("save_counter/.ATTRIBUTES/VARIABLE_VALUE", "int64"),
            "step_counter",
            id="object-save-counter",
        ),
        pytest.param(scalar("global_step", "int64"), "step_counter", id="global-step"),
        pytest.param(scalar("tower/global_step_1", "int32"), "step_counter", id="step-of-a-scope"),
        pytest.param(scalar("global_step"), "step_counter", id="step-as-float"),
        pytest.param(scalar("_CHECKPOINTABLE_OBJECT_GRAPH", "string"), "string", id="string"),
        pytest.param(scalar("phase", "complex128"), "unsupported_dtype", id="complex128"),
        pytest.param(VariableInfo("w8", "qint8", (3,)), "unsupported_dtype", id="quantised"),
    ],
)
def test_training_state_by_name(variable, category):
    selection = select(sorted([W, variable]), NO_HINTS, keep_optimizer=False)
    assert selection.kept == (W,)
    ((skipped),) = selection.skipped
    assert (skipped.variable, skipped.category) == (variable, category)
    assert skipped.to_json() == {
        "name": variable.name,
        "dtype": variable.dtype,
        "shape": list(variable.shape),
        "category": category,
        "reason": skipped.reason,
    }


@pytest.mark.parametrize(
    "variable",
    [
        pytest.param(W._replace(name="Momentum"), id="momentum-alone"),
        pytest.param(W._replace(name="physics/Momentum"), id="momentum-of-a-scope"),
        pytest.param(
            VariableInfo("bert/w/Momentum", "float32", (3, 5)), id="momentum-of-another-shape"
        ),
        pytest.param(W._replace(name="Adam/dense/kernel"), id="a-person-called-adam"),
        pytest.param(W._replace(name="bn/moving_variance"), id="moving-statistics"),
        pytest.param(W._replace(name="bn/mean/EMA"), id="tensorpack-ema"),
        pytest.param(W._replace(name="bert/w/ExponentialMovingAverage"), id="shadow"),
        pytest.param(VariableInfo("global_step", "float32", (7,)), id="a-vector-called-step"),
        pytest.param(scalar("learning_rate"), id="learning-rate"),
        pytest.param(W._replace(name="bert/w/adam_m2"), id="ends-with-more"),
        pytest.param(
            W._replace(name="optimizer_net/w/.ATTRIBUTES/VARIABLE_VALUE"), id="object-of-like-name"
        ),
        pytest.param(scalar("temperature", "bfloat16"), id="bfloat16"),
    ],
)
def test_model_variables_stay(variable):
    selection = select(sorted([W, variable]), NO_HINTS, keep_optimizer=False)
    assert selection.kept == tuple(sorted([W, variable]))


def test_settings_of_an_optimizer_object():
    slot = W._replace(name="l/w/.OPTIMIZER_SLOT/adam/m/.ATTRIBUTES/VARIABLE_VALUE")
    weight = W._replace(name="l/w/.ATTRIBUTES/VARIABLE_VALUE")
    settings = [
        scalar("adam/decay/.ATTRIBUTES/VARIABLE_VALUE"),
        scalar("adam/iter/.ATTRIBUTES/VARIABLE_VALUE", "int64"),
    ]
    selection = select(sorted([slot, weight, *settings]), NO_HINTS, keep_optimizer=False)
    assert selection.kept == (weight,)
    assert [skipped.category for skipped in selection.skipped] == [
        "optimizer_slot",
        "step_counter",
        "optimizer_slot",
    ]
