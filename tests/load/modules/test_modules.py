"""Each module against what TensorFlow 1.15 computed (data/make_tensorflow_values.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stage_load import modules
from stage_load.module_kinds import module_kind

HERE = Path(__file__).parent
# The second holds what is recorded for the UNet family: poolings, transposed convolutions, resizes.
FILES = {
    "modules": HERE / "data" / "tensorflow_values.npz",
    "unet": HERE.parent / "unet" / "data" / "tensorflow_ops.npz",
}


def _tuples(case):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in case.items()}


def _cases():
    for name, path in FILES.items():
        with np.load(path) as archive:
            arrays = dict(archive)
        for number, entry in enumerate(json.loads(str(arrays["cases"]))):
            case = _tuples(entry)
            if case.get("padding") == "VALID":
                continue
            values = {key: arrays.get(f"{number}/{key}") for key in ("x", "weight", "result")}
            told = "-".join(str(value).replace(" ", "") for value in case.values())
            yield pytest.param(case, values, id=f"{name}-{told}")


def build(case):
    """The module for one case, its weight not yet set."""
    window = case.get("kernel_size"), case.get("stride", 1)
    match case["op"]:
        case "conv1d":
            return modules.SamePadConv1d(2, 3, *window, bias=False)
        case "conv2d":
            dilation = case.get("dilation", 1)
            return modules.SamePadConv2d(2, 3, *window, dilation=dilation, bias=False)
        case "conv3d":
            return modules.SamePadConv3d(2, 3, *window, bias=False)
        case "depthwise":
            return modules.SamePadConv2d(2, 4, *window, groups=2, bias=False)
        case "conv2d_transpose":
            return modules.SamePadConvTranspose2d(2, 3, *window, bias=False)
        case "max_pool":
            return modules.SamePadMaxPool2d(*window)
        case "avg_pool":
            return modules.SamePadAvgPool2d(*window)
        case "resize" | "bicubic":
            return modules.TF1Resize(
                case["output_size"],
                method=case.get("method", "bicubic"),
                align_corners=case["align_corners"],
                half_pixel_centers=case["half_pixel_centers"],
            )


def weight_of(case, weight):
    """In torch's axes, written out by hand."""
    if case["op"] == "depthwise":
        return weight.permute(2, 3, 0, 1).reshape(4, 1, *weight.shape[:2])
    # HWIO -> OIHW, HWOI -> IOHW, DHWIO -> OIDHW and WIO -> OIW: the last two axes come first.
    rank = weight.dim()
    return weight.permute(rank - 1, rank - 2, *range(rank - 2))


@pytest.mark.parametrize(("case", "values"), _cases())
def test_as_tensorflow(case, values):
    module = build(case)
    if values["weight"] is not None:
        module.weight.data = weight_of(case, torch.from_numpy(values["weight"]))
    found = module(torch.from_numpy(values["x"]).movedim(-1, 1))
    wanted = torch.from_numpy(values["result"]).movedim(-1, 1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "base", "kind"),
    [
        pytest.param(modules.SamePadConv2d(2, 3, 3), nn.Conv2d(2, 3, 3), "conv2d", id="conv"),
        pytest.param(
            modules.SamePadConv2d(2, 4, 3, groups=2),
            nn.Conv2d(2, 4, 3, groups=2),
            "depthwise_conv2d",
            id="depthwise",
        ),
        pytest.param(
            modules.SamePadConvTranspose2d(2, 3, 3, bias=False),
            nn.ConvTranspose2d(2, 3, 3, bias=False),
            "conv2d_transpose",
            id="transposed",
        ),
    ],
)
def test_the_state_dict_is_that_of_the_torch_module(module, base, kind):
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in base.state_dict().items()}
    assert module_kind(module, shapes) == kind


def test_scale_factor_and_size_name_the_same_resize():
    x = torch.randn(2, 3, 4, 5)
    by_factor = modules.TF1Resize(scale_factor=(2, 3))(x)
    torch.testing.assert_close(by_factor, modules.TF1Resize((8, 15))(x), rtol=0, atol=0)
    torch.testing.assert_close(by_factor, modules.TF1Resize()(x, (8, 15)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"method": "area"}, "'area' is unknown. Known: nearest", id="method"),
        pytest.param({"align_corners": True, "half_pixel_centers": True}, "exclude", id="both"),
        pytest.param({"size": (2, 3), "scale_factor": 2}, "not both", id="size-and-factor"),
    ],
)
def test_refused_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        modules.TF1Resize(**arguments)


def test_without_a_size_a_resize_asks_for_one():
    with pytest.raises(ValueError, match="give output_size"):
        modules.TF1Resize()(torch.zeros(1, 1, 2, 2))


def test_the_modules_need_nothing_but_torch():
    code = (
        "import sys; import torch; before = set(sys.modules); import stage_load.modules; "
        "new = {n for n in set(sys.modules) - before if n.startswith('stage_load')}; "
        "print(sorted(n for n in new if not n.startswith('stage_load.modules')))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=HERE.parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['stage_load']"
