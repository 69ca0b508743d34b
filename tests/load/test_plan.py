"""Which variable fills which tensor: plans on tables, without torch and without files."""

from __future__ import annotations

import pytest

from stage_load.errors import TensorsDoNotFit
from stage_load.mapping import Given
from tests.load.export_maker import ExportMaker
from tests.load.plans import norm, pairs, planned, torch_model, unit, zeros

NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def norm_arrays(channels, *absent):
    return {role: zeros(channels) for role in NORM_ROLES if role not in absent}


def test_a_layer_used_twice_is_planned_once_and_placed_twice():
    maker = ExportMaker()
    maker.layer("conv2d", "tower", {"kernel": zeros(3, 3, 2, 5), "bias": zeros(5)})
    maker.layer("dense", "join", {"kernel": zeros(10, 4)})
    maker.layer("conv2d", "tower_1", {"kernel": "tower/kernel", "bias": "tower/bias"})
    plan = planned(
        maker,
        torch_model(
            unit("tower", "conv2d", 2, weight=(5, 2, 3, 3), bias=(5,)),
            unit("join", "dense", weight=(4, 10)),
        ),
    )
    assert pairs(plan) == {
        "tower.weight": "tower/kernel",
        "tower.bias": "tower/bias",
        "join.weight": "join/kernel",
    }
    assert [(p.layer, p.module, p.call) for p in plan.places] == [
        (0, "tower", 0),
        (1, "join", 0),
        (2, "tower", 1),
    ]


def test_one_variable_in_two_kinds_of_layer():
    """An embedding that is the output layer as well: two torch tensors of one variable."""
    maker = ExportMaker()
    maker.layer("embedding", "table", {"embedding": zeros(11, 3)})
    maker.layer("dense", "logits", {"kernel": "table/embedding"}, transpose_b=True)
    plan = planned(
        maker,
        torch_model(
            unit("table", "embedding", weight=(11, 3)), unit("out", "dense", weight=(11, 3))
        ),
    )
    assert [(row.torch_name, row.tf_name, str(row.rule)) for row in plan.rows] == [
        ("table.weight", "table/embedding", "VD->VD"),
        ("out.weight", "table/embedding", "OI->OI"),
    ]


@pytest.mark.parametrize(
    ("absent", "constants", "expected"),
    [
        pytest.param(("gamma",), {}, {"norm.weight": "constant 1.0"}, id="no-gamma"),
        pytest.param(("beta",), {}, {"norm.bias": "constant 0.0"}, id="no-beta"),
        pytest.param(
            ("gamma",),
            {"gamma": {"value": 2.0}},
            {"norm.weight": "constant 2.0"},
            id="other-number",
        ),
        pytest.param(
            ("gamma",),
            {"gamma": {"value": [1.0, 2.0, 0.5]}},
            {"norm.weight": "constant [1.0, 2.0, 0.5]"},
            id="one-a-channel",
        ),
        pytest.param(
            ("gamma", "beta"),
            {},
            {"norm.weight": "constant 1.0", "norm.bias": "constant 0.0"},
            id="neither",
        ),
    ],
)
def test_batch_norm_without_gamma_or_beta(absent, constants, expected):
    maker = ExportMaker()
    arrays = norm_arrays(3, *absent)
    maker.layer("batch_norm", "bn", arrays, constants=constants, epsilon=1e-3, decay=0.999)
    plan = planned(maker, torch_model(norm("norm", 3)))
    found = {row.torch_name: str(row.rule) for row in plan.rows if row.tf_name is None}
    assert found == {**expected, "norm.num_batches_tracked": "constant 0.0"}
    assert plan.settings == {"norm": {"eps": 1e-3, "momentum": 0.001}}
    said = [warning for warning in plan.warnings if "without gamma" in warning]
    assert len(said) == ("gamma" in absent)


def test_missing_statistics_are_never_made_up():
    maker = ExportMaker()
    maker.layer("batch_norm", "bn", norm_arrays(3, "moving_variance"), decay=0.99)
    with pytest.raises(TensorsDoNotFit, match=r"norm\.running_var \[3\]"):
        planned(maker, torch_model(norm("norm", 3)))


def test_an_unknown_decay_is_said():
    maker = ExportMaker()
    reason = "the graph has no update of the moving average"
    maker.layer("batch_norm", "bn", norm_arrays(3), epsilon=1e-5, decay=None, decay_reason=reason)
    plan = planned(maker, torch_model(norm("norm", 3)))
    assert plan.settings == {"norm": {"eps": 1e-5}}
    assert reason in plan.warnings[0]


def test_parallel_branches_in_another_order():
    maker = ExportMaker()
    maker.layer("conv2d", "block/shortcut", {"kernel": zeros(1, 1, 2, 6)})
    maker.layer("conv2d", "block/conv1", {"kernel": zeros(3, 3, 2, 4)})
    maker.layer("conv2d", "block/conv2", {"kernel": zeros(3, 3, 4, 6)})
    plan = planned(
        maker,
        torch_model(
            unit("a", "conv2d", weight=(4, 2, 3, 3)),
            unit("b", "conv2d", weight=(6, 4, 3, 3)),
            unit("c", "conv2d", weight=(6, 2, 1, 1)),
        ),
    )
    assert pairs(plan) == {
        "a.weight": "block/conv1/kernel",
        "b.weight": "block/conv2/kernel",
        "c.weight": "block/shortcut/kernel",
    }
    assert plan.warnings == (
        "1 module in another order than in TensorFlow, matched by kind, shape, dataflow and names, "
        "first 'c'.",
    )


def test_kind_decides_where_shapes_are_equal():
    """Square kernels: only the kind of operation tells the layout."""
    maker = ExportMaker()
    maker.layer("conv2d_transpose", "up", {"kernel": zeros(2, 2, 4, 4)})
    maker.layer("conv2d", "conv", {"kernel": zeros(2, 2, 4, 4)})
    plan = planned(
        maker,
        torch_model(
            unit("x", "conv2d", weight=(4, 4, 2, 2)),
            unit("y", "conv2d_transpose", weight=(4, 4, 2, 2)),
        ),
    )
    assert [(row.tf_name, row.torch_name, str(row.rule)) for row in plan.rows] == [
        ("conv/kernel", "x.weight", "HWIO->OIHW"),
        ("up/kernel", "y.weight", "HWOI->IOHW"),
    ]


def test_a_depthwise_kernel_of_one_channel_is_a_plain_convolution_in_torch():
    maker = ExportMaker()
    maker.layer("depthwise_conv2d", "d", {"kernel": zeros(3, 2, 1, 5)})
    plan = planned(maker, torch_model(unit("c", "conv2d", weight=(5, 1, 3, 2))))
    assert pairs(plan) == {"c.weight": "d/kernel"}


def test_guessed_kinds_yield_to_the_model():
    """Without a graph, HWIO and HWOI look alike; the torch module knows which it is."""
    maker = ExportMaker(evidence="guessed")
    maker.layer("conv2d", "a", {"kernel": zeros(3, 3, 2, 6), "bias": zeros(6)})
    maker.layer("conv2d", "b", {"kernel": zeros(2, 2, 4, 6), "bias": zeros(4)})
    plan = planned(
        maker,
        torch_model(
            unit("a", "conv2d", weight=(6, 2, 3, 3), bias=(6,)),
            unit("b", "conv2d_transpose", weight=(6, 4, 2, 2), bias=(4,)),
        ),
    )
    assert [(row.torch_name, str(row.rule), row.how) for row in plan.rows] == [
        ("a.weight", "HWIO->OIHW", "guessed"),
        ("a.bias", "C->C", "guessed"),
        ("b.weight", "HWOI->IOHW", "guessed"),
        ("b.bias", "C->C", "guessed"),
    ]
    assert "2 of 2 layers placed by guessed kinds, without a graph." in plan.warnings


def test_a_graph_does_not_yield():
    maker = ExportMaker()
    maker.layer("conv2d", "b", {"kernel": zeros(2, 2, 4, 6)})
    with pytest.raises(TensorsDoNotFit):
        planned(maker, torch_model(unit("b", "conv2d_transpose", weight=(6, 4, 2, 2))))


def test_given_rows_come_first_and_bring_their_layer_along():
    """Two equal branches: one name crossed over moves its whole layer."""
    maker = ExportMaker()
    for name in ("left", "right"):
        maker.layer("dense", name, {"kernel": zeros(3, 4), "bias": zeros(4)})
    model = torch_model(
        unit("left", "dense", weight=(4, 3), bias=(4,)),
        unit("right", "dense", weight=(4, 3), bias=(4,)),
    )
    assert pairs(planned(maker, model))["left.weight"] == "left/kernel"
    crossed = pairs(planned(maker, model, Given("right/kernel", "left.weight", None, "map")))
    assert crossed == {
        "left.weight": "right/kernel",
        "left.bias": "right/bias",
        "right.weight": "left/kernel",
        "right.bias": "left/bias",
    }


def test_a_layer_whose_bias_lies_elsewhere_is_loaded_but_has_no_place():
    """Its module returns the sum without the bias, which is not what the layer returns."""
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": zeros(3, 4), "bias": zeros(4)})
    maker.layer("dense", "b", {"kernel": zeros(4, 5)})
    model = torch_model(
        unit("a", "dense", weight=(4, 3)),
        unit("shift", "bias_add", bias=(4,)),
        unit("b", "dense", weight=(5, 4)),
    )
    plan = planned(maker, model, Given("a/bias", "shift.bias", None, "map"))
    assert pairs(plan) == {
        "a.weight": "a/kernel",
        "shift.bias": "a/bias",
        "b.weight": "b/kernel",
    }
    assert [(p.layer, p.module) for p in plan.places] == [(1, "b")]


def test_a_tensor_claimed_by_two_variables():
    """Two separate layers in TensorFlow, one module called once: the second has no place."""
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": zeros(3, 4)})
    maker.layer("dense", "b", {"kernel": zeros(3, 4)})
    with pytest.raises(TensorsDoNotFit) as error:
        planned(maker, torch_model(unit("only", "dense", 2, weight=(4, 3))))
    assert error.value.happened.splitlines()[1:] == [
        "Unexpected in the checkpoint:",
        "  b/kernel [3, 4]; nothing on the other side is like it",
    ]


def test_definition_order_is_said():
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": zeros(3, 4)})
    maker.layer("dense", "b", {"kernel": zeros(4, 5)})
    model = torch_model(
        unit("a", "dense", 0, weight=(4, 3)), unit("b", "dense", 0, weight=(5, 4)), note="no input"
    )
    assert planned(maker, model).warnings == (
        "The model was not run to find the order of its modules (no input); "
        "the order of their definition was taken.",
    )
