"""Each module against what TensorFlow 1.15 computed (data/make_tensorflow_ops.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stage_load.models.unet import step_modules
from stage_load.models.unet import tensorflow_layers as layers
from stage_load.models.unet.steps import Convolution, Pool, Resize, TransposedConvolution

with np.load(Path(__file__).parent / "data" / "tensorflow_ops.npz") as archive:
    ARRAYS = dict(archive)
CASES = [
    {name: tuple(value) if isinstance(value, list) else value for name, value in case.items()}
    for case in json.loads(str(ARRAYS["cases"]))
]


def nchw(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2)


def build(case):
    """The module for one case, its weight not yet set."""
    window = [case.get(name) for name in ("kernel_size", "stride")]
    padding = case.get("padding")
    match case["op"]:
        case "conv2d":
            step = Convolution(3, *window, padding=padding, bias=False)
            return step_modules.convolution(step, 2)
        case "conv2d_transpose":
            step = TransposedConvolution(3, *window, padding, bias=False)
            return step_modules.transposed_convolution(step, 2)
        case "max_pool":
            return step_modules.pool(Pool("max", *window, padding))
        case "avg_pool":
            return step_modules.pool(Pool("average", *window, padding))
        case "resize":
            corners, centers = case["align_corners"], case["half_pixel_centers"]
            return layers.TensorFlowResize(Resize(case["method"], None, corners, centers))


def describe(case):
    return "-".join(f"{value}".replace(" ", "") for name, value in case.items())


@pytest.mark.parametrize(("number", "case"), enumerate(CASES), ids=map(describe, CASES))
def test_as_tensorflow(number, case):
    module = build(case)
    if f"{number}/weight" in ARRAYS:
        weight = torch.from_numpy(ARRAYS[f"{number}/weight"])
        # HWIO -> OIHW and HWOI -> IOHW are one permutation.
        module.weight.data = weight.permute(3, 2, 0, 1)
    x, wanted = nchw(ARRAYS[f"{number}/x"]), nchw(ARRAYS[f"{number}/result"])
    extra = [list(case["output_size"])] if case["op"] == "resize" else []
    torch.testing.assert_close(module(x, *extra), wanted, rtol=1e-5, atol=1e-5)
