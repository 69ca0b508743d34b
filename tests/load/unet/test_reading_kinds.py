"""UNets of other trades: strided levels, holes, separable convolutions, statistics of the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stage_load.errors import ModelDoesNotFit
from stage_load.models.unet.assembling import read_configuration
from stage_load.models.unet.config import UNetConfig
from stage_load.models.unet.network import UNet
from stage_load.models.unet.steps import (
    Activation,
    BatchNorm,
    Convolution,
    DepthwiseConvolution,
    Resize,
)
from stage_load.models.unet.tensorflow_layers import BatchStatisticsNorm2d

RELU = Activation("relu")
TANH = Activation("tanh")
ALL_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def strided(graph):
    """Two strided levels; what the first gives out is the only skip."""
    first = graph.conv(graph.image, 5, stride=2)
    net = graph.relu(graph.conv(graph.relu(first), 7, stride=2))
    return graph.concat(graph.up(net), first)


def test_the_map_of_a_strided_convolution_is_a_skip(new_graph):
    graph = new_graph()
    net = strided(graph)
    config = read_configuration(graph.view(graph.node("Tanh", [graph.up(net)], 12)))
    image, level = config.encoder
    assert (image.block, image.down) == ((), (Convolution(5, stride=(2, 2)),))
    assert (level.block, level.down) == ((), (RELU, Convolution(7, stride=(2, 2))))
    assert [level.skip_first for level in config.decoder] == [False, None]
    assert (config.decoder[1].up, config.head) == ((Resize(),), (TANH,))
    assert (config.widths, config.classes) == ((3, 5, 7), 7)
    assert "skip last, no skip at the outermost level" in config.describe()
    assert UNetConfig.from_json(config.to_json()) == config


def test_convolutions_after_the_up_sampling_that_no_skip_follows(new_graph):
    graph = new_graph()
    net = strided(graph)
    net = graph.relu(graph.conv(graph.up(net), 4))
    config = read_configuration(graph.view(graph.conv(net, 2, (1, 1))))
    assert config.decoder[1].block == (Convolution(4), RELU)
    assert config.head == (Convolution(2, (1, 1)),)
    assert UNet(config)(torch.zeros(1, 3, 8, 12)).shape == (1, 2, 8, 12)


def test_a_pooled_map_is_still_no_skip(new_graph):
    graph = new_graph()
    pooled = graph.pool(graph.conv(graph.image, 5))
    net = graph.up(graph.conv(graph.pool(pooled), 7))
    net = graph.up(graph.conv(graph.concat(net, pooled, name="misfit"), 6))
    with pytest.raises(ModelDoesNotFit, match=r"'misfit' \(ConcatV2\).*a map after a pooling"):
        read_configuration(graph.view(graph.conv(net, 2)))


def test_inner_levels_need_their_skip(new_graph):
    graph = new_graph()
    net = graph.pool(graph.conv(graph.pool(graph.conv(graph.image, 4)), 5))
    net = graph.up(graph.conv(net, 7))
    size = graph.size_of(net, 2)
    net = graph.node("ResizeNearestNeighbor", [net, size], 7, "misfit")
    with pytest.raises(ModelDoesNotFit, match=r"'misfit'.*a second time"):
        read_configuration(graph.view(graph.conv(net, 2)))


def test_convolution_with_holes(new_graph):
    """SpaceToBatch, the convolution and BatchToSpace are one layer, whatever pads them."""
    graph = new_graph()
    skip = graph.conv(graph.image, 5)
    pooled = graph.pool(skip)
    apart = graph.node("SpaceToBatchND", [pooled, graph.const([2, 2]), graph.size_of(pooled)], 5)
    graph.conv(apart, 7, bias=False, dilations=[2, 2])
    layer = graph.layers[-1]
    joined = graph.node(
        "BatchToSpaceND", [layer["op_output"], graph.const([2, 2]), graph.size_of(pooled)], 7
    )
    layer.update(input=pooled, op_output=joined, output=joined)
    net = graph.conv(graph.concat(skip, graph.up(joined)), 2)
    config = read_configuration(graph.view(net))
    assert config.bottleneck == (Convolution(7, dilation=(2, 2), bias=False),)


def test_separable_convolution(new_graph):
    graph = new_graph()
    skip = graph.depthwise(graph.image, 2)
    skip = graph.conv(skip, 5, (1, 1))
    net = graph.conv(graph.depthwise(skip, 1, stride=2), 7, (1, 1))
    config = read_configuration(graph.view(graph.conv(graph.concat(skip, graph.up(net)), 2)))
    assert config.encoder[0].block == (DepthwiseConvolution(2), Convolution(5, (1, 1)))
    assert config.encoder[0].down == (DepthwiseConvolution(1, stride=(2, 2)),)
    assert config.widths == (5, 7)
    modules = [m for m in UNet(config).modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [(m.in_channels, m.out_channels, m.groups) for m in modules] == [(3, 6, 3), (5, 5, 5)]
    assert UNet(config)(torch.zeros(1, 3, 8, 12)).shape == (1, 2, 8, 12)


def test_pixels_laid_out_of_channels(new_graph):
    graph = new_graph()
    skip = graph.conv(graph.image, 5)
    net = graph.node("DepthToSpace", [graph.conv(graph.pool(skip), 12)], 3, block_size=2)
    config = read_configuration(graph.view(graph.conv(graph.concat(skip, net), 2)))
    assert "depth-to-space up-sampling" in config.describe()


def test_what_a_concat_joins_is_named(new_graph):
    graph = new_graph()
    skip = graph.conv(graph.image, 5)
    coordinates = graph.node("Const", [], 2, "coordinates", value=None)
    net = graph.conv(graph.concat(skip, coordinates, name="misfit"), 4)
    with pytest.raises(ModelDoesNotFit, match=r"'misfit'.*'coordinates:0', which is no map"):
        read_configuration(graph.view(net))


def test_a_norm_over_each_image_is_called_so(new_graph):
    graph = new_graph()
    net = graph.conv(graph.image, 5)
    graph.node("Mean", [net, graph.const([1, 2])], 5, "moments/mean")
    with pytest.raises(ModelDoesNotFit, match=r"'moments/mean' \(Mean\).*averages.*instance"):
        read_configuration(graph.view(net))


def test_a_kernel_that_is_computed_is_told(new_graph):
    """Weight norm and spectral norm are no layers of one variable."""
    graph = new_graph()
    graph.node("Conv2D", [graph.image, graph.const([[1.0]])], 5, "misfit")
    with pytest.raises(ModelDoesNotFit, match=r"'misfit' \(Conv2D\).*a kernel that the graph"):
        read_configuration(graph.view("misfit:0"))


def test_batch_norm_that_always_takes_the_statistics_of_the_batch(new_graph):
    graph = new_graph()
    skip = graph.batch_norm(graph.conv(graph.image, 5), ALL_ROLES, is_training=True)
    net = graph.conv(graph.pool(skip), 7)
    config = read_configuration(graph.view(graph.conv(graph.concat(skip, graph.up(net)), 2)))
    assert config.encoder[0].block[1] == BatchNorm(1e-3, 0.01, statistics="batch")
    (sentence,) = config.assumptions
    assert "from the batch" in sentence
    assert "use_moving_statistics()" in sentence


@pytest.mark.parametrize("affine", [True, False])
def test_statistics_of_the_batch(affine):
    torch.manual_seed(0)
    norm = BatchStatisticsNorm2d(3, eps=1e-3, momentum=0.2, affine=affine)
    plain = nn.BatchNorm2d(3, eps=1e-3, momentum=0.2, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        plain.load_state_dict(norm.state_dict())
    x = 3.0 + 2.0 * torch.randn(2, 3, 4, 5)
    wanted = plain.train()(x)
    torch.testing.assert_close(norm.eval()(x), wanted)
    assert norm.running_mean.abs().sum() == 0
    torch.testing.assert_close(norm.train()(x), wanted)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    norm.uses_batch_statistics = False
    torch.testing.assert_close(norm.eval()(x), plain.eval()(x))


def test_a_single_value_of_each_channel_is_its_own_mean():
    norm = BatchStatisticsNorm2d(3).eval()
    norm.bias.data = torch.tensor([1.0, 2.0, 3.0])
    assert norm(torch.randn(1, 3, 1, 1)).flatten().tolist() == [1.0, 2.0, 3.0]


def test_a_model_can_be_told_to_use_its_moving_averages():
    # ELU and many channels: with ReLU and few, chance may let nothing through.
    torch.manual_seed(0)
    config = UNetConfig.standard(1, 2, (8, 9), batch_norm=True, activation="elu")
    text = config.to_json()
    for step in text["bottleneck"]:
        if step["step"] == "batch_norm":
            step["statistics"] = "batch"
    model = UNet(UNetConfig.from_json(text)).eval()
    plain = UNet(config).eval()
    plain.load_state_dict(model.state_dict())
    image = torch.randn(1, 1, 8, 12)
    assert (model(image) - plain(image)).abs().max() > 1e-2
    torch.testing.assert_close(model.use_moving_statistics()(image), plain(image))
