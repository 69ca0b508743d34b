"""Convolutions over one and three axes, grouped ones: their places, and the axes of what they read.

Graphs are given as nodes by hand; TensorFlow's own are in tests/end_to_end/test_convolutions.py.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from stage_load.axes import layer_to_tf, to_tf, to_torch
from stage_load.channels import moves_channels
from stage_load.errors import TensorsDoNotFit
from stage_load.export_view import ExportView
from stage_load.module_kinds import module_groups, module_kind
from tests.load.export_maker import ExportMaker
from tests.load.plans import pairs, planned, torch_model, unit, zeros


@pytest.mark.parametrize(
    ("module", "kind", "groups"),
    [
        pytest.param(nn.Conv1d(6, 8, 3), "conv1d", 1, id="1d"),
        pytest.param(nn.Conv1d(6, 12, 3, groups=6), "depthwise_conv1d", 1, id="1d-depthwise"),
        pytest.param(nn.Conv1d(6, 8, 3, groups=2), "conv1d", 2, id="1d-grouped"),
        pytest.param(nn.Conv2d(6, 8, 3, groups=2), "conv2d", 2, id="2d-grouped"),
        pytest.param(nn.Conv2d(6, 12, 3, groups=6), "depthwise_conv2d", 1, id="2d-depthwise"),
        pytest.param(nn.Conv2d(1, 12, 3), "conv2d", 1, id="one-channel"),
        pytest.param(nn.Conv3d(6, 8, 3), "conv3d", 1, id="3d"),
        # TensorFlow has no depthwise convolution over three axes.
        pytest.param(nn.Conv3d(6, 12, 3, groups=6), "conv3d", 6, id="3d-as-many-as-channels"),
        pytest.param(nn.ConvTranspose1d(6, 8, 3), "conv1d_transpose", 1, id="1d-transposed"),
        pytest.param(nn.ConvTranspose3d(6, 8, 3), "conv3d_transpose", 1, id="3d-transposed"),
        pytest.param(nn.ConvTranspose2d(6, 8, 3, groups=2), None, 1, id="transposed-grouped"),
    ],
)
def test_kind_and_groups_of_a_module(module, kind, groups):
    assert module_kind(module, ("weight", "bias")) == kind
    assert module_groups(module) == groups


def test_groups_tell_kernels_of_one_shape_apart():
    """Behind each other in the other order: only the groups say which is which."""
    maker = ExportMaker()
    maker.layer("conv2d", "grouped", {"kernel": zeros(3, 3, 4, 8)}, groups=2)
    maker.layer("conv2d", "plain", {"kernel": zeros(3, 3, 4, 8)})
    grouped = dataclasses.replace(unit("b", "conv2d", weight=(8, 4, 3, 3)), groups=2)
    plan = planned(maker, torch_model(unit("a", "conv2d", weight=(8, 4, 3, 3)), grouped))
    assert pairs(plan) == {"a.weight": "plain/kernel", "b.weight": "grouped/kernel"}


@pytest.mark.parametrize(
    ("kind", "shape", "attributes", "module_kind", "weight", "rule"),
    [
        # One input channel a group: torch calls that depthwise.
        pytest.param(
            "conv2d", (2, 3, 1, 12), {"groups": 4}, "depthwise_conv2d", (12, 1, 2, 3),
            "HWCM->(CM)1HW", id="grouped-to-depthwise",
        ),
        pytest.param(
            "conv1d", (2, 1, 12), {"groups": 4}, "depthwise_conv1d", (12, 1, 2),
            "WCM->(CM)1W", id="grouped-to-depthwise-1d",
        ),
        # One channel in all: torch calls that plain.
        pytest.param(
            "depthwise_conv1d", (2, 1, 12), {}, "conv1d", (12, 1, 2), "WIO->OIW",
            id="depthwise-to-plain-1d",
        ),
    ],
)  # fmt: skip
def test_borders_between_kinds(kind, shape, attributes, module_kind, weight, rule):
    maker = ExportMaker()
    maker.layer(kind, "c", {"kernel": zeros(*shape)}, **attributes)
    plan = planned(maker, torch_model(unit("m", module_kind, weight=weight)))
    assert [(row.tf_name, str(row.rule)) for row in plan.rows] == [("c/kernel", rule)]


def branches(*kernels, bias=False):
    """Make an export of the convolutions of the parts of one tensor."""
    maker = ExportMaker()
    for index, kernel in enumerate(kernels):
        arrays = {"kernel": kernel, **({"bias": zeros(kernel.shape[-1])} if bias else {})}
        group = {"index": index, "count": len(kernels), "input": "x:0", "output": "joined:0"}
        maker.layer("conv2d", f"g{index}", arrays, group=group)
    return maker


def grouped_unit(path, groups, **shapes):
    return dataclasses.replace(unit(path, "conv2d", **shapes), groups=groups)


def test_kernels_of_a_group_fill_one_torch_tensor_in_parts():
    maker = branches(zeros(3, 2, 4, 5), zeros(3, 2, 4, 5), bias=True)
    model = torch_model(grouped_unit("c", 2, weight=(10, 4, 3, 2), bias=(10,)))
    rows = [(row.torch_name, row.tf_name, str(row.rule)) for row in planned(maker, model).rows]
    assert rows == [
        ("c.weight", "g0/kernel", "HWIO->OIHW @0:5"),
        ("c.weight", "g1/kernel", "HWIO->OIHW @5:10"),
        ("c.bias", "g0/bias", "C->C @0:5"),
        ("c.bias", "g1/bias", "C->C @5:10"),
    ]


def test_modules_of_their_own_keep_the_kernels_of_a_group_apart():
    maker = branches(zeros(3, 2, 4, 5), zeros(3, 2, 4, 5))
    model = torch_model(*(unit(path, "conv2d", weight=(5, 4, 3, 2)) for path in ("a", "b")))
    plan = planned(maker, model)
    assert pairs(plan) == {"a.weight": "g0/kernel", "b.weight": "g1/kernel"}
    assert [(place.layer, place.module) for place in plan.places] == [(0, "a"), (1, "b")]


def test_modules_of_their_own_take_parts_of_one_kernel():
    maker = ExportMaker()
    kernel = {"kernel": zeros(3, 2, 4, 10), "bias": zeros(10)}
    maker.layer("conv2d", "c", kernel, groups=2)
    maker.layer("conv2d", "last", {"kernel": zeros(3, 2, 10, 4)})
    shapes = {"weight": (5, 4, 3, 2), "bias": (5,)}
    modules = [unit(path, "conv2d", **shapes) for path in ("a", "b")]
    plan = planned(maker, torch_model(*modules, unit("z", "conv2d", weight=(4, 10, 3, 2))))
    assert [(row.torch_name, row.tf_name, str(row.rule)) for row in plan.rows] == [
        ("a.weight", "c/kernel", "HWIO->OIHW O=0:5"),
        ("a.bias", "c/bias", "C->C C=0:5"),
        ("b.weight", "c/kernel", "HWIO->OIHW O=5:10"),
        ("b.bias", "c/bias", "C->C C=5:10"),
        ("z.weight", "last/kernel", "HWIO->OIHW"),
    ]
    # No module returns what the layer does.
    assert [place.module for place in plan.places] == ["z"]


def test_a_grouped_module_of_another_shape_takes_no_group():
    maker = branches(zeros(3, 2, 4, 5), zeros(3, 2, 4, 5))
    with pytest.raises(TensorsDoNotFit, match="1 unexpected"):
        planned(maker, torch_model(grouped_unit("c", 2, weight=(12, 4, 3, 2))))


def graph(nodes, layers):
    """Make a view of a chain ``x -> nodes``, each layer reading what stands before its node."""
    maker = ExportMaker()
    names = ["x", *nodes]
    for before, name in zip([None, *names[:-1]], names, strict=True):
        maker.node(name, *([] if before is None else [before]))
        maker.nodes[-1]["op"] = nodes.get(name, "Placeholder")
        maker.nodes[-1]["shapes"] = [[2, 2, 2]]
    for name, kind in layers.items():
        index = maker.layer(kind, name, {"kernel": zeros(2, 2, 2)}, data_format="NWC")
        before = names[names.index(name) - 1]
        maker.layers[index] |= {"input": f"{before}:0", "output": f"{name}:0"}
    return ExportView(maker.document())


@pytest.mark.parametrize(
    ("nodes", "layers", "tensor", "expected"),
    [
        pytest.param({"c": "Squeeze"}, {"c": "conv1d"}, "x:0", True, id="read"),
        pytest.param({"p": "Pad", "c": "Squeeze"}, {"c": "conv1d"}, "x:0", True, id="behind-a-pad"),
        pytest.param(
            {"t": "Transpose", "c": "Squeeze"}, {"c": "conv1d"}, "x:0", False, id="transposed-first"
        ),
        pytest.param(
            {"d": "Reshape", "c": "Squeeze"}, {"d": "dense", "c": "conv1d"}, "x:0", False,
            id="dense-first",
        ),
        pytest.param(
            {"c": "Squeeze", "r": "Relu"}, {"c": "conv1d"}, "r:0", True, id="computed-relu"
        ),
        pytest.param(
            {"c": "Squeeze", "d": "Reshape", "r": "Relu"}, {"c": "conv1d", "d": "dense"}, "r:0",
            False, id="computed-by-dense",
        ),
        pytest.param(
            {"c": "Squeeze", "b": "Add"}, {"c": "conv1d", "b": "batch_norm"}, "b:0", True,
            id="computed-batch-norm",
        ),
    ],
)  # fmt: skip
def test_channels_of_rank_three_move_where_a_convolution_is_next(nodes, layers, tensor, expected):
    assert moves_channels(graph(nodes, layers), tensor, 3) == expected


def test_graph_with_channels_first_moves_nothing():
    maker = ExportMaker()
    maker.layer("conv1d", "c", {"kernel": zeros(2, 3, 4)}, data_format="NCW")
    view = ExportView(maker.document())
    assert [moves_channels(view, "x:0", rank) for rank in (2, 3, 4, 5)] == [False] * 4


@pytest.mark.parametrize(
    ("tf_shape", "torch_shape"),
    [
        pytest.param((2, 5, 3), (2, 3, 5), id="3"),
        pytest.param((2, 5, 6, 3), (2, 3, 5, 6), id="4"),
        pytest.param((2, 5, 6, 7, 3), (2, 3, 5, 6, 7), id="5"),
    ],
)
def test_there_and_back(tf_shape, torch_shape):
    value = torch.arange(float(torch.Size(tf_shape).numel())).reshape(tf_shape)
    moved = to_torch(value, moves=True)
    assert moved.shape == torch_shape
    assert moved[1, 2, 1].equal(value[1, 1, ..., 2])
    assert to_tf(moved, tf_shape, moves=True).equal(value)
    # What has TensorFlow's shape already only as it is, or only when it is moved.
    assert to_tf(value, tf_shape, moves=True).equal(value)
    assert to_tf(moved, tf_shape, moves=False).equal(value)


@pytest.mark.parametrize(
    ("kind", "data_format", "tf_shape", "torch_shape"),
    [
        pytest.param("conv1d", "NWC", (2, 5, 3), (2, 3, 5), id="sequence"),
        pytest.param("conv1d", "NWC", (2, 3, 3), (2, 3, 3), id="square"),
        pytest.param("conv1d", "NCW", (2, 3, 5), (2, 3, 5), id="channels-first"),
        # The axis of size one of TensorFlow's image is still there.
        pytest.param("depthwise_conv1d", "NWC", (2, 1, 5, 3), (2, 3, 5), id="height-of-one"),
        pytest.param("batch_norm", "NHWC", (2, 5, 1, 3), (2, 3, 5), id="width-of-one"),
        pytest.param("depthwise_conv1d", "NCW", (2, 3, 1, 5), (2, 3, 5), id="first-height-of-one"),
        pytest.param("conv3d", "NDHWC", (2, 5, 6, 7, 3), (2, 3, 5, 6, 7), id="volume"),
    ],
)
def test_output_of_a_layer_in_tensorflows_axes(kind, data_format, tf_shape, torch_shape):
    maker = ExportMaker()
    roles = {"gamma": zeros(3)} if kind == "batch_norm" else {}
    maker.layer(kind, "c", roles, data_format=data_format)
    [layer] = ExportView(maker.document()).layers
    value = torch.arange(float(torch.Size(torch_shape).numel())).reshape(torch_shape)
    moved = layer_to_tf(value, layer, tf_shape)
    assert moved.shape == tf_shape
    channels_first = data_format.startswith("NC")
    flat = value if channels_first else value.movedim(1, -1)
    assert moved.flatten().equal(flat.flatten())


def test_sequence_of_a_dense_layer_stays():
    maker = ExportMaker()
    maker.layer("bias_add", "b", {"bias": zeros(3)}, data_format="NHWC")
    maker.layer("dense", "d", {"kernel": zeros(3, 3)})
    value = torch.arange(18.0).reshape(2, 3, 3)
    for layer in ExportView(maker.document()).layers:
        assert layer_to_tf(value, layer, (2, 3, 3)).equal(value)
