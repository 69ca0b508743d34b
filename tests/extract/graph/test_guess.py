"""Without a graph, names and shapes give layers, and everything says that it is guessed."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import pytest

from stage_extract.graph.describe import describe
from stage_extract.jobs import ExtractOptions
from stage_extract.reader import VariableInfo

Row = Tuple[str, Tuple[int, ...]]


def guessed(*rows: Row) -> Mapping[str, Any]:
    infos = [VariableInfo(name, "float32", shape) for name, shape in rows]
    return describe(None, infos, ExtractOptions()).to_json()


def roles(document: Mapping[str, Any]) -> Dict[str, Tuple[Optional[str], Any, Any]]:
    return {
        one["name"]: (one["op_kind"], one["role"], one["source_axes"])
        for one in document["variables"]
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [("c/kernel", (3, 3, 4, 5)), ("c/bias", (5,))],
            {"c/kernel": ("conv2d", "kernel", "HWIO"), "c/bias": ("conv2d", "bias", "C")},
            id="convolution",
        ),
        # The bias has the size of the third axis: only a transposed convolution is so.
        pytest.param(
            [("up/kernel", (3, 3, 4, 5)), ("up/bias", (4,))],
            {
                "up/kernel": ("conv2d_transpose", "kernel", "HWOI"),
                "up/bias": ("conv2d_transpose", "bias", "C"),
            },
            id="transposed-by-its-bias",
        ),
        pytest.param(
            [("conv2d_transpose/kernel", (3, 3, 4, 4)), ("conv2d_transpose/bias", (4,))],
            {
                "conv2d_transpose/kernel": ("conv2d_transpose", "kernel", "HWOI"),
                "conv2d_transpose/bias": ("conv2d_transpose", "bias", "C"),
            },
            id="transposed-by-its-name",
        ),
        # A name that speaks of transposing, sizes that do not allow it.
        pytest.param(
            [("upconv/kernel", (3, 3, 4, 5)), ("upconv/bias", (5,))],
            {
                "upconv/kernel": ("conv2d", "kernel", "HWIO"),
                "upconv/bias": ("conv2d", "bias", "C"),
            },
            id="size-against-name",
        ),
        pytest.param(
            [("fc/weights", (6, 7)), ("fc/biases", (7,))],
            {"fc/weights": ("dense", "kernel", "IO"), "fc/biases": ("dense", "bias", "C")},
            id="slim-dense",
        ),
        pytest.param(
            [("s/depthwise_weights", (3, 3, 4, 2)), ("s/pointwise_weights", (1, 1, 8, 5))],
            {
                "s/depthwise_weights": ("depthwise_conv2d", "kernel", "HWCM"),
                "s/pointwise_weights": ("conv2d", "kernel", "HWIO"),
            },
            id="separable",
        ),
        pytest.param(
            [
                ("bn/beta", (4,)),
                ("bn/gamma", (4,)),
                ("bn/moving_mean", (4,)),
                ("bn/moving_variance", (4,)),
            ],
            {
                "bn/beta": ("batch_norm", "beta", "C"),
                "bn/gamma": ("batch_norm", "gamma", "C"),
                "bn/moving_mean": ("batch_norm", "moving_mean", "C"),
                "bn/moving_variance": ("batch_norm", "moving_variance", "C"),
            },
            id="batch-norm",
        ),
        pytest.param(
            [("bn/beta", (4,)), ("bn/mean/EMA", (4,)), ("bn/variance/EMA", (4,))],
            {
                "bn/beta": ("batch_norm", "beta", "C"),
                "bn/mean/EMA": ("batch_norm", "moving_mean", "C"),
                "bn/variance/EMA": ("batch_norm", "moving_variance", "C"),
            },
            id="tensorpack",
        ),
        pytest.param(
            [("bert/embeddings/word_embeddings", (30, 8))],
            {"bert/embeddings/word_embeddings": ("embedding", "embedding", "VD")},
            id="embedding",
        ),
        pytest.param(
            [("layer/kernel/.ATTRIBUTES/VARIABLE_VALUE", (6, 7))],
            {"layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": ("dense", "kernel", "IO")},
            id="object-based",
        ),
        pytest.param(
            [("Variable", (5, 5, 1, 7)), ("Variable_1", (7,)), ("Variable_2", (9, 6))],
            {
                "Variable": ("conv2d", "kernel", "HWIO"),
                "Variable_1": ("conv2d", "bias", "C"),
                "Variable_2": ("dense", "kernel", "IO"),
            },
            id="unnamed",
        ),
        pytest.param(
            [("c/conv1d/kernel", (5, 3, 4)), ("c/conv1d/bias", (4,))],
            {
                "c/conv1d/kernel": ("conv1d", "kernel", "WIO"),
                "c/conv1d/bias": ("conv1d", "bias", "C"),
            },
            id="conv1d",
        ),
        pytest.param(
            [
                ("s/separable_conv1d/depthwise_kernel", (5, 3, 2)),
                ("s/separable_conv1d/pointwise_kernel", (1, 6, 4)),
            ],
            {
                "s/separable_conv1d/depthwise_kernel": ("depthwise_conv1d", "kernel", "WCM"),
                "s/separable_conv1d/pointwise_kernel": ("conv1d", "kernel", "WIO"),
            },
            id="separable-1d",
        ),
        pytest.param(
            [("k/kernel", (3, 2, 4, 5, 6)), ("up/kernel", (3, 2, 4, 5, 6)), ("up/bias", (5,))],
            {
                "k/kernel": ("conv3d", "kernel", "DHWIO"),
                "up/kernel": ("conv3d_transpose", "kernel", "DHWOI"),
                "up/bias": ("conv3d_transpose", "bias", "C"),
            },
            id="conv3d",
        ),
        # A projection of attention has three axes as well.
        pytest.param(
            [("something", (3,)), ("k/kernel", (3, 4, 5)), ("l/kernel", (2, 3, 2, 3, 4, 5))],
            {
                "something": (None, None, None),
                "k/kernel": (None, None, None),
                "l/kernel": (None, None, None),
            },
            id="unknown",
        ),
    ],
)
def test_kinds_and_roles(rows: List[Row], expected: Dict[str, Any]) -> None:
    assert roles(guessed(*rows)) == expected


def test_layers_are_in_natural_order() -> None:
    names = ["conv2d_10", "conv2d_2", "conv2d", "conv2d_1"]
    document = guessed(*((f"{name}/kernel", (3, 3, 4, 5)) for name in names))
    found = [layer["name"] for layer in document["layers"]]
    assert found == ["conv2d", "conv2d_1", "conv2d_2", "conv2d_10"]


def test_everything_says_that_it_is_guessed() -> None:
    document = guessed(("c/kernel", (3, 5, 4, 6)), ("odd", (2,)))
    assert document["source"]["graph"] is None
    assert document["source"]["graph_reason"] == "no .meta file beside the checkpoint"
    assert document["layers"][0] == {
        "index": 0,
        "kind": "conv2d",
        "name": "c",
        "op": None,
        "variables": {"kernel": "c/kernel"},
        "constants": {},
        "input": None,
        "op_output": None,
        "output": None,
        "attributes": {
            "strides": None,
            "padding": None,
            "explicit_padding": None,
            "dilations": None,
            "data_format": None,
            "kernel_size": [3, 5],
        },
        "activation": None,
        "evidence": "guessed",
        "reason": None,
    }
    entries = {one["name"]: one for one in document["variables"]}
    assert entries["c/kernel"]["evidence"] == "guessed"
    assert entries["c/kernel"]["order"] is None
    assert entries["odd"]["evidence"] is None
    assert "fit no layer" in entries["odd"]["reason"]
    for key in ("inputs", "outputs", "nodes", "rewrites", "switches"):
        assert document[key] == []
