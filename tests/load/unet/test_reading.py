"""A configuration is read from the dataflow; each habit of a training script is one case."""

from __future__ import annotations

import pytest
import torch

from stage_load.models.unet.assembling import read_configuration
from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.network import UNet
from stage_load.models.unet.steps import (
    Activation,
    BatchNorm,
    Clamp,
    Convolution,
    Crop,
    Dropout,
    Pad,
    Pool,
    Rescale,
    Resize,
    TransposedConvolution,
)

RELU = Activation("relu")
ALL_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def unet(graph, *, unit=None, pool=None, up=None, join=None, image=None, end=None):
    """Add one encoder level, a bottleneck, one decoder level and a head; parts can be exchanged."""
    unit = unit or (lambda x, channels: graph.relu(graph.conv(x, channels)))
    skip = unit(image or graph.image, 5)
    net = unit((pool or graph.pool)(skip), 7)
    net = (up or (lambda x, skip: graph.up(x)))(net, skip)
    net = unit((join or graph.concat)(skip, net), 6)
    logits = graph.conv(net, 2, (1, 1))
    return read_configuration(graph.view(end(logits) if end else logits))


def expected(**changes):
    """The configuration of `unet` with nothing exchanged."""
    values = {
        "in_channels": 3,
        "encoder": (EncoderLevel((Convolution(5), RELU), (Pool(),)),),
        "bottleneck": (Convolution(7), RELU),
        "decoder": (DecoderLevel((Resize(),), (Convolution(6), RELU)),),
        "head": (Convolution(2, (1, 1)),),
        "sample_size": (24, 32),
        **changes,
    }
    return UNetConfig(**values)


def without_tensor(config):
    return {k: v for k, v in config.to_json().items() if k not in ("tf1_output", "assumptions")}


def same(config, wanted):
    assert without_tensor(config) == without_tensor(wanted)


def test_plain(new_graph):
    config = unet(new_graph())
    same(config, expected())
    assert config.tf1_output.startswith("BiasAdd_")
    assert config.assumptions == ()


@pytest.mark.parametrize(
    "ops",
    [
        pytest.param(("ArgMax",), id="classes"),
        pytest.param(("Softmax", "ArgMax", "ExpandDims"), id="classes-of-probabilities"),
        pytest.param(("Sigmoid", "Round", "Cast"), id="mask"),
        pytest.param(("Reshape", "Softmax"), id="flattened-for-the-loss"),
        pytest.param(("Squeeze",), id="without-the-channel"),
        pytest.param(("StridedSlice",), id="one-class"),
        pytest.param(("Relu", "Greater"), id="threshold"),
    ],
)
def test_the_module_ends_at_the_scores(new_graph, ops):
    graph = new_graph()

    def end(x):
        for op in ops:
            x = graph.node(op, [x, graph.const(3)] if op in ("ArgMax", "ExpandDims") else [x])
        return x

    config = unet(graph, end=end)
    same(config, expected())
    assert config.tf1_output.startswith("BiasAdd_")
    assert f"by {', '.join(ops)}; the module returns the scores" in config.assumptions[0]


@pytest.mark.parametrize(
    ("op", "attributes", "step"),
    [
        pytest.param("Softmax", {}, Activation("softmax"), id="softmax"),
        pytest.param("Sigmoid", {}, Activation("sigmoid"), id="sigmoid"),
        pytest.param("Tanh", {}, Activation("tanh"), id="tanh"),
        pytest.param("LeakyRelu", {"alpha": 0.3}, Activation("leaky_relu", 0.3), id="leaky"),
    ],
)
def test_final_activation(new_graph, op, attributes, step):
    graph = new_graph()
    config = unet(graph, end=lambda x: graph.node(op, [x], 2, "last", **attributes))
    same(config, expected(head=(Convolution(2, (1, 1)), step)))
    assert config.tf1_output == "last:0"


def keras_selu(graph, x, alpha):
    curve = graph.node("Elu", [x])
    scaled = graph.node("Mul", [graph.const(alpha), curve])
    positive = graph.node("Greater", [x, graph.const(0.0)])
    chosen = graph.node("Select", [positive, curve, scaled])
    return graph.node("Mul", [graph.const(1.050701), chosen])


def test_softmax_written_out(new_graph):
    graph = new_graph()

    def end(x):
        axis = graph.const(3)
        peak = graph.node("Max", [x, axis], keep_dims=True)
        powers = graph.node("Exp", [graph.node("Sub", [x, peak])])
        total = graph.node("Sum", [powers, axis], keep_dims=True)
        return graph.node("RealDiv", [powers, total])

    same(unet(graph, end=end), expected(head=(Convolution(2, (1, 1)), Activation("softmax"))))


def test_softmax_written_out_over_flattened_scores(new_graph):
    """As Keras writes it after Reshape((height * width, classes))."""
    graph = new_graph()

    def end(x):
        rows, axis = graph.node("Reshape", [x, graph.const([-1, 768, 2])]), graph.const(-1)
        peak = graph.node("Max", [rows, axis], keep_dims=True)
        powers = graph.node("Exp", [graph.node("Sub", [rows, peak])])
        total = graph.node("Sum", [powers, axis], keep_dims=True)
        return graph.node("RealDiv", [powers, total])

    config = unet(graph, end=end)
    same(config, expected())
    assert "by Reshape, RealDiv;" in config.assumptions[0]


@pytest.mark.parametrize(
    ("write", "step"),
    [
        pytest.param(
            lambda g, x: g.node("Maximum", [g.node("Mul", [g.const(0.1), x]), x]),
            Activation("leaky_relu", 0.1),
            id="maximum",
        ),
        pytest.param(
            lambda g, x: g.node("Maximum", [x, g.const(0.0)]), Activation("relu"), id="relu"
        ),
        pytest.param(
            lambda g, x: g.node("Mul", [x, g.node("Sigmoid", [x])]), Activation("swish"), id="swish"
        ),
        pytest.param(
            lambda g, x: g.node(
                "AddV2",
                [
                    g.node("Mul", [g.const(0.625), x]),
                    g.node("Mul", [g.const(0.375), g.node("Abs", [x])]),
                ],
            ),
            Activation("leaky_relu", 0.25),
            id="absolute-value",
        ),
        pytest.param(
            lambda g, x: g.node(
                "Sub",
                [
                    g.node("Relu", [x]),
                    g.node("Mul", [g.const(0.3), g.node("Relu", [g.node("Neg", [x])])]),
                ],
            ),
            Activation("leaky_relu", 0.3),
            id="two-sides",
        ),
        pytest.param(
            lambda g, x: g.node(
                "Select",
                [
                    g.node("Greater", [x, g.const(0.0)]),
                    x,
                    g.node("Mul", [x, g.const(0.2)]),
                ],
            ),
            Activation("leaky_relu", 0.2),
            id="selected",
        ),
        pytest.param(
            lambda g, x: g.node("Minimum", [g.const(2.5), x]), Clamp(high=2.5), id="minimum"
        ),
        pytest.param(
            lambda g, x: g.node("Maximum", [x, g.const(-0.5)]), Clamp(low=-0.5), id="lower-bound"
        ),
        pytest.param(lambda g, x: keras_selu(g, x, 1.6732632), Activation("selu"), id="selu"),
    ],
)
def test_activation_written_out(new_graph, write, step):
    graph = new_graph()

    def unit(x, channels):
        result = write(graph, graph.conv(x, channels))
        graph.channels[result] = channels
        return result

    config = unet(graph, unit=unit)
    assert config.bottleneck == (Convolution(7), step)


@pytest.mark.parametrize(
    ("attributes", "step"),
    [
        pytest.param({}, BatchNorm(1e-3, 0.01), id="tf.layers"),
        pytest.param(
            {"epsilon": 1e-5, "effective_epsilon": 1.001e-5, "decay": 0.9},
            BatchNorm(1.001e-5, 0.1),
            id="fused-clamps-epsilon",
        ),
        pytest.param({"decay": None}, BatchNorm(1e-3, 0.01), id="no-decay"),
    ],
)
def test_batch_norm_before_activation(new_graph, attributes, step):
    graph = new_graph()
    config = unet(
        graph,
        unit=lambda x, c: graph.relu(
            graph.batch_norm(graph.conv(x, c, bias=False), ALL_ROLES, **attributes)
        ),
    )
    assert config.bottleneck == (Convolution(7, bias=False), step, RELU)
    assert bool(config.assumptions) == (attributes.get("decay", 0) is None)


def test_batch_norm_after_activation(new_graph):
    graph = new_graph()
    config = unet(
        graph, unit=lambda x, c: graph.batch_norm(graph.relu(graph.conv(x, c)), ALL_ROLES)
    )
    assert config.encoder[0].block == (Convolution(5), RELU, BatchNorm())


@pytest.mark.parametrize(
    ("roles", "affine"),
    [
        pytest.param(("beta", "moving_mean", "moving_variance"), True, id="no-gamma"),
        pytest.param(("moving_mean", "moving_variance"), False, id="neither"),
    ],
)
def test_batch_norm_without_some_of_its_variables(new_graph, roles, affine):
    graph = new_graph()
    config = unet(graph, unit=lambda x, c: graph.batch_norm(graph.conv(x, c), roles))
    assert config.bottleneck == (Convolution(7), BatchNorm(affine=affine))


def test_skip_last(new_graph):
    graph = new_graph()
    config = unet(graph, join=lambda skip, net: graph.concat(net, skip, axis=-1))
    assert [level.skip_first for level in config.decoder] == [False]


@pytest.mark.parametrize(
    ("op", "size", "padding", "step"),
    [
        pytest.param("MaxPool", 3, "SAME", Pool("max", (3, 3)), id="max-3"),
        pytest.param("AvgPool", 2, "VALID", Pool("average", padding="VALID"), id="average"),
    ],
)
def test_pooling(new_graph, op, size, padding, step):
    graph = new_graph()
    config = unet(graph, pool=lambda x: graph.pool(x, op, size, padding))
    assert config.encoder[0].down == (step,)


def test_strided_convolution_for_pooling(new_graph):
    graph = new_graph()
    config = unet(graph, pool=lambda x: graph.conv(x, 4, stride=2))
    assert config.encoder[0].down == (Convolution(4, stride=(2, 2)),)


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [
        pytest.param(24, 32, (2, 2), id="even"),
        pytest.param(25, 31, None, id="odd"),
        pytest.param(None, None, None, id="unknown"),
    ],
)
def test_resize_to_the_size_of_the_skip(new_graph, height, width, factor):
    graph = new_graph(height, width)
    config = unet(
        graph,
        up=lambda x, skip: graph.node("ResizeNearestNeighbor", [x, graph.size_of(skip)], 7),
    )
    # An even fixed size could mean either; the skip's shape is what the graph reads.
    assert config.decoder[0].up == (Resize(factor=None),)
    assert factor is None or config.sample_size == (height, width)


def test_resize_to_fixed_numbers(new_graph):
    graph = new_graph()
    config = unet(
        graph,
        up=lambda x, skip: graph.node(
            "ResizeBilinear", [x, graph.const([24, 32])], 7, align_corners=True
        ),
    )
    assert config.decoder[0].up == (Resize("bilinear", (2, 2), align_corners=True),)


@pytest.mark.parametrize(
    ("size", "padding", "shape"),
    [
        pytest.param(2, "SAME", [2, 24, 32, 4], id="same-2"),
        pytest.param(3, "SAME", [2, 24, 32, 4], id="same-3"),
        pytest.param(2, "VALID", [2, 24, 32, 4], id="valid-2"),
    ],
)
def test_transposed_convolution(new_graph, size, padding, shape):
    graph = new_graph()
    config = unet(
        graph, up=lambda x, skip: graph.conv_transpose(x, 4, graph.const(shape), size, padding)
    )
    step = TransposedConvolution(4, (size, size), (2, 2), padding, bias=False)
    assert config.decoder[0].up == (step,)


def test_transposed_convolution_to_the_shape_of_an_odd_skip(new_graph):
    graph = new_graph(25, 31)
    config = unet(
        graph, up=lambda x, skip: graph.conv_transpose(x, 4, graph.const([2, 25, 31, 4]), 3)
    )
    step = TransposedConvolution(4, (3, 3), bias=False, output_size="skip")
    assert config.decoder[0].up == (step,)


@pytest.mark.parametrize(
    ("begin", "margins"),
    [
        # VALID 3x3 on 28 x 36: skip 26 x 34, bottleneck 11 x 15, up 22 x 30.
        pytest.param([0, 2, 2, 0], None, id="centred"),
        pytest.param([0, 1, 3, 0], ((1, 3), (3, 1)), id="fixed"),
    ],
)
def test_cropped_skip(new_graph, begin, margins):
    graph = new_graph(28, 36)

    def join(skip, net):
        cut = [graph.const(begin), graph.const([-1, 22, 30, -1])]
        return graph.concat(graph.node("Slice", [skip, *cut], 5), net)

    config = unet(graph, unit=lambda x, c: graph.relu(graph.conv(x, c, padding="VALID")), join=join)
    assert config.decoder[0].crop == Crop(margins)
    assert config.bottleneck == (Convolution(7, padding="VALID"), RELU)


def test_crop_by_strided_slice_with_masks(new_graph):
    graph = new_graph(28, 36)

    def join(skip, net):
        bounds = [graph.const(v) for v in ([0, 2, 2, 0], [0, -2, -2, 0], [1, 1, 1, 1])]
        masks = {"begin_mask": 0b1001, "end_mask": 0b1001}
        return graph.concat(graph.node("StridedSlice", [skip, *bounds], 5, **masks), net)

    config = unet(graph, unit=lambda x, c: graph.relu(graph.conv(x, c, padding="VALID")), join=join)
    assert config.decoder[0].crop == Crop(None)


@pytest.mark.parametrize(
    ("rate", "step", "sentences"),
    [
        pytest.param(0.4, Dropout(0.4), 0, id="in-the-graph"),
        pytest.param(None, Dropout(0.5), 1, id="fed-at-run-time"),
    ],
)
def test_dropout_stays_where_it_was(new_graph, rate, step, sentences):
    graph = new_graph()

    def unit(x, channels):
        x = graph.conv(x, channels)
        if channels != 7:
            return graph.relu(x)
        kept = graph.node("Identity", [x], channels, "dropout/mul")
        graph.rewrites.append(
            {"node": "dropout/mul", "op": "Mul", "becomes": x, "why": "", "rate": rate}
        )
        return graph.relu(kept)

    config = unet(graph, unit=unit)
    assert config.bottleneck == (Convolution(7), step, RELU)
    assert len(config.assumptions) == sentences


def test_dropout_on_the_way_down_only(new_graph):
    graph = new_graph()

    def pool(x):
        kept = graph.node("Identity", [x], 5, "dropout/mul")
        graph.rewrites.append(
            {"node": "dropout/mul", "op": "Mul", "becomes": x, "why": "", "rate": 0.2}
        )
        return graph.pool(kept)

    config = unet(graph, pool=pool)
    assert config.encoder == (EncoderLevel((Convolution(5), RELU), (Dropout(0.2), Pool())),)


def test_scaled_input(new_graph):
    graph = new_graph()
    image = graph.node("RealDiv", [graph.image, graph.const(127.5)], 3)
    image = graph.node("Sub", [image, graph.const(1.0)], 3)
    config = unet(graph, image=image)
    wanted = (Rescale(1 / 127.5, 0.0), Rescale(1.0, -1.0), Convolution(5), RELU)
    assert config.encoder[0].block == wanted


def test_mean_of_each_channel_taken_off(new_graph):
    graph = new_graph()
    image = graph.node("Sub", [graph.image, graph.const([124.0, 117.0, 104.0])], 3)
    config = unet(graph, image=image)
    assert config.encoder[0].block[0] == Rescale(1.0, (-124.0, -117.0, -104.0))
    module = UNet(config)
    assert "encoder.0.block.rescale_1.offset" not in module.state_dict()
    result = module.encoder[0].block.rescale_1(torch.zeros(1, 3, 2, 2))
    assert result[0, :, 1, 1].tolist() == [-124.0, -117.0, -104.0]


def test_explicit_and_separate_padding(new_graph):
    graph = new_graph()

    def unit(x, channels):
        if channels != 7:
            return graph.relu(
                graph.conv(x, channels, padding="EXPLICIT", explicit_padding=[[1, 1], [1, 1]])
            )
        amounts = graph.const([[0, 0], [1, 1], [1, 1], [0, 0]])
        padded = graph.node("MirrorPad", [x, amounts], graph.channels[x], mode="REFLECT")
        return graph.relu(graph.conv(padded, channels, padding="VALID"))

    config = unet(graph, unit=unit)
    around = ((1, 1), (1, 1))
    valid = {"padding": "VALID"}
    assert config.encoder[0].block == (Pad(around), Convolution(5, **valid), RELU)
    assert config.bottleneck == (Pad(around, "reflect"), Convolution(7, **valid), RELU)


def test_reshape_to_the_same_shape(new_graph):
    graph = new_graph(None, None)
    shape = graph.node("Shape", [graph.image])
    sizes = [
        graph.node(
            "StridedSlice",
            [shape, graph.const([axis]), graph.const([axis + 1]), graph.const([1])],
            shrink_axis_mask=1,
        )
        for axis in (1, 2)
    ]
    wanted = graph.node("Pack", [graph.const(-1), *sizes, graph.const(3)], axis=0)
    image = graph.node("Reshape", [graph.image, wanted], 3)
    same(unet(graph, image=image), expected(sample_size=(64, 96)))


@pytest.mark.parametrize("op", ["ExpandDims", "Reshape"])
def test_image_without_a_channel_axis(new_graph, op):
    graph = new_graph(channels=1)
    graph.shape = [None, 24, 32]
    wanted = graph.const(3 if op == "ExpandDims" else [-1, 24, 32, 1])
    config = unet(graph, image=graph.node(op, [graph.image, wanted], 1))
    same(config, expected(in_channels=1))
    module = UNet(config)
    image = torch.rand(2, 24, 32)
    torch.testing.assert_close(module(image), module(image.unsqueeze(1)))


def test_the_recorded_size_is_used(new_graph):
    graph = new_graph(None, None)
    graph.feeds.append({"tensor": graph.image, "shape": [2, 40, 44, 3]})
    assert unet(graph).sample_size == (40, 44)
