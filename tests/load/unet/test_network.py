"""The module: what TensorFlow's padding makes of sizes, names, order, other sizes, and JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
import torch
from torch import nn

from stage_load import modules
from stage_load.models.unet import step_modules
from stage_load.models.unet import tensorflow_layers as layers
from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.network import UNet
from stage_load.models.unet.step_json import step_from_json, step_to_json
from stage_load.models.unet.steps import (
    STEPS,
    Activation,
    BatchNorm,
    Bias,
    Clamp,
    Convolution,
    Crop,
    DepthToSpace,
    DepthwiseConvolution,
    Dropout,
    Pad,
    Pool,
    Rescale,
    Resize,
    TransposedConvolution,
)

EVERY_STEP = [
    Convolution(5, (3, 4), (2, 1), (1, 2), "VALID", bias=False),
    TransposedConvolution(4, (3, 2), (2, 2), "SAME", bias=False, output_size="skip"),
    Resize("bilinear", None, align_corners=True),
    DepthwiseConvolution(2, (3, 5), (2, 1), (1, 2), "VALID", bias=True),
    BatchNorm(1e-5, 0.05, affine=False, statistics="batch"),
    Activation("leaky_relu", 0.1),
    Dropout(0.3),
    DepthToSpace(3),
    Bias(),
    Rescale(2.0, -1.0),
    Clamp(-0.5, None),
    Pad(((1, 2), (3, 4)), "reflect"),
    Pool("average", (3, 3), (2, 2), "VALID"),
    Crop(((1, 2), (3, 4))),
]


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.kind)
def test_step_through_json(step):
    assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


def test_every_step_has_a_case():
    assert {step.kind for step in EVERY_STEP} == set(STEPS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"step": "attention"}, "'attention' of a UNet is unknown. Known", id="step"),
        pytest.param({"step": "dropout", "rate": 1}, "no setting rate. Known", id="setting"),
    ],
)
def test_unknown_json(values, message):
    with pytest.raises(ValueError, match=message):
        step_from_json(values)


STANDARD = {
    "plain": {},
    "nearest": {"up": "nearest", "batch_norm": True},
    "valid": {"padding": "VALID"},
    "three": {"convolutions": 3, "activation": "elu"},
}


@pytest.mark.parametrize("settings", STANDARD.values(), ids=STANDARD)
def test_standard_configuration(settings):
    config = UNetConfig.standard(3, 2, (4, 6, 9), **settings)
    assert UNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert (config.levels, config.widths, config.classes) == (3, (4, 6, 9), 2)
    height, width = config.sample_size
    result = UNet(config).eval()(torch.zeros(2, 3, height, width))
    assert result.shape[:2] == (2, 2)
    assert (result.shape[2:] == (height, width)) == (settings.get("padding") != "VALID")


def test_levels_must_match():
    config = UNetConfig.standard(3, 2, (4, 6, 9))
    with pytest.raises(ValueError, match="got 1 and 2"):
        dataclasses.replace(config, decoder=config.decoder[:1])


def test_description():
    config = UNetConfig.standard(3, 2, (4, 6, 9), batch_norm=True, up="nearest")
    assert config.describe() == (
        "UNet of 3 levels (4-6-9 channels), 3 -> 2 channels, nearest up-sampling, batch norm, "
        "skip first"
    )
    assert config.describe() in str(UNet(config))


def test_names_are_readable():
    module = UNet(UNetConfig.standard(3, 2, (4, 6), batch_norm=True))
    names = list(module.state_dict())
    assert names[0] == "encoder.0.block.convolution_1.weight"
    assert "decoder.0.up.transposed_convolution_1.weight" in names
    assert "bottleneck.batch_norm_2.running_var" in names
    assert names[-1] == "head.convolution_1.bias"


def test_other_sizes_and_whole_numbers():
    module = UNet(UNetConfig.standard(1, 3, (4, 6, 9))).eval()
    assert module(torch.zeros(1, 1, 20, 36)).shape == (1, 3, 20, 36)
    assert module(torch.zeros(1, 1, 12, 8, dtype=torch.uint8)).dtype == torch.float32


def test_a_size_that_does_not_divide():
    module = UNet(UNetConfig.standard(1, 3, (4, 6), padding="SAME"))
    with pytest.raises(ValueError, match=r"The skip is \(7, 8\) and the up-sampled map \(8, 8\)"):
        module(torch.zeros(1, 1, 7, 8))


def test_odd_sizes_when_up_sampling_follows_the_skip():
    level = EncoderLevel((Convolution(3),))
    for up in (Resize(factor=None), TransposedConvolution(4, (3, 3), output_size="skip")):
        config = UNetConfig(
            in_channels=1,
            encoder=(level,),
            bottleneck=(Convolution(5),),
            decoder=(DecoderLevel((up,), ()),),
            head=(Convolution(2),),
            sample_size=(7, 9),
        )
        assert UNet(config)(torch.zeros(1, 1, 7, 9)).shape == (1, 2, 7, 9)


@pytest.mark.parametrize("skip_first", [True, False], ids=["skip-first", "skip-last"])
def test_order_of_the_concat(skip_first):
    config = UNetConfig(
        in_channels=1,
        encoder=(EncoderLevel((Rescale(1.0, 0.0),)),),
        bottleneck=(Rescale(10.0, 0.0),),
        decoder=(DecoderLevel((Resize(),), (), skip_first=skip_first),),
        head=(),
        sample_size=(4, 6),
    )
    first, second = UNet(config)(torch.ones(1, 1, 4, 6))[0, :, 0, 0].tolist()
    assert (first, second) == ((1.0, 10.0) if skip_first else (10.0, 1.0))


def test_gradients_reach_every_parameter():
    module = UNet(UNetConfig.standard(2, 3, (4, 6, 9), batch_norm=True))
    module(torch.randn(2, 2, 16, 24)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        pytest.param(24, 3, 1, (1, 1), id="even-total"),
        pytest.param(24, 4, 1, (1, 2), id="even-kernel"),
        pytest.param(24, 3, 2, (0, 1), id="stride-2-even-size"),
        pytest.param(25, 3, 2, (1, 1), id="stride-2-odd-size"),
        pytest.param(25, 2, 2, (0, 1), id="window-over-the-end"),
        pytest.param(24, 1, 2, (0, 0), id="kernel-below-stride"),
    ],
)
def test_same_padding(size, kernel, stride, padding):
    assert modules.same_padding(size, kernel, stride) == padding


@pytest.mark.parametrize(
    ("step", "plain"),
    [
        pytest.param(Convolution(2), True, id="3x3"),
        pytest.param(Convolution(2, (3, 5)), True, id="3x5"),
        pytest.param(Convolution(2, (2, 2)), False, id="2x2"),
        pytest.param(Convolution(2, stride=(2, 2)), False, id="stride-2"),
        pytest.param(Convolution(2, (2, 2), padding="VALID"), True, id="valid"),
    ],
)
def test_plain_convolution_where_padding_is_even(step, plain):
    module = step_modules.convolution(step, 3)
    assert (type(module) is nn.Conv2d) == plain


@pytest.mark.parametrize(
    ("step", "plain"),
    [
        pytest.param(TransposedConvolution(2), True, id="2"),
        pytest.param(TransposedConvolution(2, (4, 4)), True, id="4"),
        pytest.param(TransposedConvolution(2, (3, 3)), False, id="3"),
        pytest.param(TransposedConvolution(2, (1, 1)), False, id="kernel-below-stride"),
        pytest.param(TransposedConvolution(2, (3, 3), padding="VALID"), True, id="valid-3"),
        pytest.param(TransposedConvolution(2, output_size="skip"), False, id="skip"),
    ],
)
def test_plain_transposed_convolution_where_the_crop_is_even(step, plain):
    module = step_modules.transposed_convolution(step, 3)
    assert (type(module) is nn.ConvTranspose2d) == plain


def gradient_of_convolution(x, weight, stride, padding, size):
    """TensorFlow's definition of conv2d_transpose: the gradient of its convolution's input."""
    image = torch.zeros(1, weight.shape[1], *size, requires_grad=True)
    padded = image
    if padding == "SAME":
        padded = modules.pad_same(image, tuple(weight.shape[2:]), stride, (1, 1))
    nn.functional.conv2d(padded, weight, stride=stride).backward(x)
    return image.grad


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "skip_size"),
    [
        *itertools.product([(2, 2), (3, 3), (4, 5), (1, 1)], [(2, 2)], ["SAME"], [None]),
        *itertools.product([(2, 2), (3, 3), (4, 5)], [(2, 2)], ["VALID"], [None]),
        ((3, 3), (2, 2), "SAME", (9, 13)),
        ((2, 4), (2, 2), "SAME", (9, 13)),
        ((3, 3), (3, 2), "SAME", None),
    ],
)
def test_transposed_convolution_is_the_gradient(kernel, stride, padding, skip_size):
    torch.manual_seed(0)
    output_size = "stride" if skip_size is None else "skip"
    step = TransposedConvolution(4, kernel, stride, padding, output_size=output_size)
    module = step_modules.transposed_convolution(step, 3)
    x = torch.randn(1, 3, 5, 7)
    found = module(x) if skip_size is None else module(x, list(skip_size))
    wanted = gradient_of_convolution(x, module.weight, stride, padding, found.shape[2:])
    torch.testing.assert_close(found, wanted + module.bias.view(-1, 1, 1))
    if skip_size is None:
        extra = [
            max(k - s, 0) if padding == "VALID" else 0 for k, s in zip(kernel, stride, strict=True)
        ]
        assert found.shape[2:] == (5 * stride[0] + extra[0], 7 * stride[1] + extra[1])


@pytest.mark.parametrize("kernel", [2, 3], ids=["plain", "uneven"])
def test_same_max_pool_pads_with_minus_infinity(kernel):
    pool = step_modules.pool(Pool("max", (kernel, kernel)))
    assert pool(torch.full((1, 1, 5, 7), -3.0)).tolist() == [[[[-3.0] * 4] * 3]]


@pytest.mark.parametrize("kernel", [2, 3], ids=["plain", "uneven"])
def test_same_average_pool_does_not_count_the_padding(kernel):
    pool = step_modules.pool(Pool("average", (kernel, kernel)))
    torch.testing.assert_close(pool(torch.full((1, 1, 5, 7), 3.0)), torch.full((1, 1, 3, 4), 3.0))


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        # One row [0, 10, 20, 30] doubled; values by TensorFlow's formulas.
        pytest.param(Resize(), [0, 0, 10, 10, 20, 20, 30, 30], id="nearest"),
        pytest.param(Resize("bilinear"), [0, 5, 10, 15, 20, 25, 30, 30], id="bilinear"),
        pytest.param(
            Resize("bilinear", half_pixel_centers=True),
            [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30],
            id="bilinear-half-pixel",
        ),
        pytest.param(
            Resize("bilinear", align_corners=True),
            [n * 30 / 7 for n in range(8)],
            id="bilinear-corners",
        ),
        pytest.param(
            Resize(align_corners=True), [0, 0, 10, 10, 20, 20, 30, 30], id="nearest-corners"
        ),
        pytest.param(
            Resize(half_pixel_centers=True), [0, 0, 10, 10, 20, 20, 30, 30], id="nearest-half"
        ),
    ],
)
def test_resize(step, wanted):
    row = torch.tensor([0.0, 10.0, 20.0, 30.0]).expand(1, 1, 3, 4)
    found = layers.TensorFlowResize(step)(row)
    assert found.shape == (1, 1, 6, 8)
    torch.testing.assert_close(found[0, 0, 5], torch.tensor(wanted, dtype=torch.float32))


def test_crop():
    x = torch.arange(7.0 * 9).view(1, 1, 7, 9)
    assert layers.crop_to(x, (4, 6), None)[0, 0, 0, 0] == 1 * 9 + 1
    assert layers.crop_to(x, (0, 0), ((2, 1), (3, 0))).shape == (1, 1, 4, 6)
    assert layers.crop_to(x, (0, 0), ((2, 1), (3, 0)))[0, 0, 0, 0] == 2 * 9 + 3


def test_unknown_activation():
    with pytest.raises(ValueError, match=r"'gelu' is unknown\. Known: elu, "):
        step_modules.activation(Activation("gelu"))
