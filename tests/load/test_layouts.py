"""Layout rules against what TensorFlow 1.15 itself computed (golden/make_layouts.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stage_load.contract import definition_path
from stage_load.layouts import batch_norm
from stage_load.layouts.registry import FAMILIES, REFUSALS, find_rule

GOLDEN = Path(__file__).parent / "golden" / "layouts.npz"
Arrays = Mapping[str, Any]


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, Any]]:
    cases: dict[str, dict[str, Any]] = {}
    with np.load(GOLDEN) as file:
        for key in file.files:
            case, _, name = key.partition(".")
            cases.setdefault(case, {})[name] = file[key]
    return cases


def image(array: Any) -> torch.Tensor:
    """[N, H, W, C] -> [N, C, H, W], and other ranks likewise."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


def from_image(tensor: torch.Tensor) -> Any:
    return np.moveaxis(tensor.numpy(), 1, -1)


def converted(
    arrays: Arrays, kind: str, role: str, axes: str, attributes: Arrays | None = None
) -> torch.Tensor:
    array = arrays[role]
    rule = find_rule(kind, role, axes, attributes or {}, array.ndim)
    return torch.from_numpy(rule.apply(array))


def convolution(kind: str, axes: str, module: Callable[..., Any], **options: Any) -> Any:
    def compute(arrays: Arrays) -> Any:
        return from_image(
            module(image(arrays["x"]), converted(arrays, kind, "kernel", axes), **options)
        )

    return compute


def depthwise(kind: str, axes: str, module: Callable[..., Any]) -> Any:
    def compute(arrays: Arrays) -> Any:
        x = image(arrays["x"])
        return from_image(module(x, converted(arrays, kind, "kernel", axes), groups=x.shape[1]))

    return compute


CONVOLUTIONS = {
    "conv1d": convolution("conv1d", "WIO", F.conv1d),
    "conv2d": convolution("conv2d", "HWIO", F.conv2d),
    "conv3d": convolution("conv3d", "DHWIO", F.conv3d),
    "depthwise_conv1d": depthwise("depthwise_conv1d", "WCM", F.conv1d),
    "depthwise_conv2d": depthwise("depthwise_conv2d", "HWCM", F.conv2d),
    "conv1d_transpose": convolution("conv1d_transpose", "WOI", F.conv_transpose1d, stride=2),
    "conv2d_transpose": convolution("conv2d_transpose", "HWOI", F.conv_transpose2d, stride=2),
    "conv3d_transpose": convolution("conv3d_transpose", "DHWOI", F.conv_transpose3d, stride=2),
}


def dense(arrays: Arrays) -> Any:
    return F.linear(torch.from_numpy(arrays["x"]), converted(arrays, "dense", "kernel", "IO"))


def dense_transpose_b(arrays: Arrays) -> Any:
    return F.linear(torch.from_numpy(arrays["x"]), converted(arrays, "dense", "kernel", "OI"))


def dense_after_flatten(arrays: Arrays) -> Any:
    shape = arrays["x"].shape
    data_format = {3: "NWC", 4: "NHWC", 5: "NDHWC"}[len(shape)]
    flatten = {"node": "flatten", "shape": [None, *shape[1:]], "data_format": data_format}
    kernel = converted(arrays, "dense", "kernel", "IO", {"flatten": flatten})
    return F.linear(image(arrays["x"]).flatten(1), kernel)


def bias_add(arrays: Arrays) -> Any:
    bias = converted(arrays, "bias_add", "bias", "C")
    return from_image(image(arrays["x"]) + bias[:, None, None])


def batch_norm_with(epsilon: float, effective_epsilon: float) -> Callable[[Arrays], Any]:
    def compute(arrays: Arrays) -> Any:
        roles = ("moving_mean", "moving_variance", "gamma", "beta")
        values = [converted(arrays, "batch_norm", role, "C") for role in roles]
        settings = batch_norm.settings({"epsilon": epsilon, "effective_epsilon": effective_epsilon})
        return from_image(F.batch_norm(image(arrays["x"]), *values, eps=settings["eps"]))

    return compute


def embedding(arrays: Arrays) -> Any:
    table = converted(arrays, "embedding", "embedding", "VD")
    return F.embedding(torch.from_numpy(arrays["x"]), table)


@pytest.mark.parametrize(
    ("case", "compute"),
    [
        *(pytest.param(kind, compute, id=kind) for kind, compute in CONVOLUTIONS.items()),
        # From here on "square" means: a wrong transpose would keep the shape.
        *(
            pytest.param(f"{kind}_square", compute, id=f"{kind}-square")
            for kind, compute in CONVOLUTIONS.items()
        ),
        pytest.param("dense", dense, id="dense"),
        pytest.param("dense_square", dense, id="dense-square"),
        pytest.param("dense_transpose_b", dense_transpose_b, id="dense-transpose-b"),
        pytest.param("dense_after_flatten", dense_after_flatten, id="dense-after-nhwc-flatten"),
        pytest.param(
            "dense_after_flatten_of_conv1d", dense_after_flatten, id="dense-after-nwc-flatten"
        ),
        pytest.param(
            "dense_after_flatten_of_conv3d", dense_after_flatten, id="dense-after-ndhwc-flatten"
        ),
        pytest.param("bias_add", bias_add, id="bias"),
        pytest.param("batch_norm", batch_norm_with(1e-3, 1e-3), id="batch-norm"),
        # TensorFlow's fused kernel never goes below 1.001e-5.
        pytest.param("batch_norm_clamped", batch_norm_with(1e-7, 1.001e-5), id="epsilon-clamped"),
        pytest.param("embedding", embedding, id="embedding"),
    ],
)
def test_torch_computes_what_tensorflow_computed(golden, case, compute):
    expected = golden[case]["y"]
    actual = np.asarray(compute(golden[case]))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_clamped_epsilon_matters(golden):
    """Without the clamp the same numbers would be wrong: the case above proves something."""
    arrays = golden["batch_norm_clamped"]
    wrong = batch_norm_with(1e-7, 1e-7)(arrays)
    assert np.abs(wrong - arrays["y"]).max() > 0.05 * np.abs(arrays["y"]).max()


def test_the_contract_and_the_registry_know_the_same_kinds():
    import json

    contract = json.loads(definition_path(1).read_text())["op_kinds"]
    assert set(contract) <= set(FAMILIES) | set(REFUSALS)
    for kind, family in FAMILIES.items():
        # Those that take variables apart have no rows: test_recurrent_layouts.py.
        roles = {} if family.fills is not None else contract[kind]["roles"]
        for role, described in roles.items():
            known = {layout.source_axes for layout in family.layouts if layout.role == role}
            assert known == set(described["source_axes"]), (kind, role)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param({"epsilon": 1e-3, "decay": 0.99}, {"eps": 1e-3, "momentum": 0.01}, id="keras"),
        pytest.param(
            {"epsilon": 1e-3, "decay": 0.999}, {"eps": 1e-3, "momentum": 0.001}, id="contrib"
        ),
        # A decay that went through float32 is 0.9900000095367432.
        pytest.param({"decay": 0.9900000095367432}, {"momentum": 0.01}, id="float32-decay"),
        pytest.param(
            {"epsilon": 1e-7, "effective_epsilon": 1.001e-5}, {"eps": 1.001e-5}, id="fused-clamp"
        ),
        pytest.param({"epsilon": None, "decay": None}, {}, id="unknown"),
    ],
)
def test_batch_norm_settings(attributes, expected):
    assert batch_norm.settings(attributes) == expected
