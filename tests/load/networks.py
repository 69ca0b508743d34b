"""A small network with every common kind of layer, its weights in TensorFlow's layout by hand.

The transposes here are written out, so that the tests do not use the code they test.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.load.export_maker import ExportMaker

CLASSIFIER_SOURCE = '''
import torch
from torch import nn


class Classifier(nn.Module):
    """Defined in another order than it runs in."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5 * 3 * 4, 7)
        self.norm = nn.BatchNorm2d(5)
        self.up = nn.ConvTranspose2d(6, 5, 2, bias=False)
        self.first = nn.Conv2d(3, 6, (2, 3))
        self.depthwise = nn.Conv2d(6, 12, 2, groups=6)
        self.point = nn.Conv2d(12, 6, 1)
        self.register_buffer("scale", torch.arange(1.0, 6.0), persistent=False)

    def forward(self, x):
        x = torch.relu_(self.first(x))
        x = self.point(self.depthwise(x))
        x = self.norm(self.up(x))
        return self.dense((x * self.scale[:, None, None]).flatten(1))
'''


def classifier_class() -> type[nn.Module]:
    """Return the class that ``CLASSIFIER_SOURCE`` defines."""
    names: dict[str, Any] = {}
    exec(CLASSIFIER_SOURCE, names)
    result: type[nn.Module] = names["Classifier"]
    return result


def to_tf(tensor: torch.Tensor) -> Any:
    """[N, C, H, W] -> [N, H, W, C]."""
    return np.ascontiguousarray(tensor.detach().numpy().transpose(0, 2, 3, 1))


def classifier_export(seed: int = 0) -> tuple[ExportMaker, nn.Module]:
    """Return an export of a ``Classifier`` with random weights, and that classifier."""
    torch.manual_seed(seed)
    model = classifier_class()().eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_()
        if name == "norm.running_var":
            tensor.abs_().add_(0.5)
    model.norm.eps, model.norm.momentum = 1e-3, 0.01
    seen: dict[str, torch.Tensor] = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda m, a, out, name=name: seen.update({name: out.clone()}))
    x = torch.randn(2, 3, 4, 6)
    with torch.no_grad():
        y = model(x)
    return _export(model, x, y, seen), classifier_class()().eval()


def _export(model: Any, x: torch.Tensor, y: torch.Tensor, seen: Any) -> ExportMaker:
    w = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    maker = ExportMaker()
    maker.layer(
        "conv2d",
        "first",
        {"kernel": w["first.weight"].transpose(2, 3, 1, 0), "bias": w["first.bias"]},
        output=to_tf(seen["first"]),
        data_format="NHWC",
    )
    depthwise = w["depthwise.weight"].reshape(6, 2, 2, 2).transpose(2, 3, 0, 1)
    maker.layer(
        "depthwise_conv2d",
        "separable/depthwise",
        {"kernel": depthwise, "bias": w["depthwise.bias"]},
        output=to_tf(seen["depthwise"]),
        data_format="NHWC",
    )
    maker.layer(
        "conv2d",
        "separable/point",
        {"kernel": w["point.weight"].transpose(2, 3, 1, 0), "bias": w["point.bias"]},
        output=to_tf(seen["point"]),
        data_format="NHWC",
    )
    maker.layer(
        "conv2d_transpose",
        "up",
        {"kernel": w["up.weight"].transpose(2, 3, 1, 0)},
        output=to_tf(seen["up"]),
        data_format="NHWC",
    )
    maker.layer(
        "batch_norm",
        "norm",
        {
            "gamma": w["norm.weight"],
            "beta": w["norm.bias"],
            "moving_mean": w["norm.running_mean"],
            "moving_variance": w["norm.running_var"],
        },
        output=to_tf(seen["norm"]),
        data_format="NHWC",
        epsilon=1e-3,
        effective_epsilon=1e-3,
        decay=0.99,
    )
    dense = w["dense.weight"].reshape(7, 5, 3, 4).transpose(2, 3, 1, 0).reshape(60, 7)
    maker.layer(
        "dense",
        "logits",
        {"kernel": dense, "bias": w["dense.bias"]},
        output=y.numpy(),
        flatten={"node": "flatten", "shape": [None, 3, 4, 5], "data_format": "NHWC"},
        transpose_b=False,
    )
    maker.input("x:0", to_tf(x), [None, 4, 6, 3])
    maker.output("y:0", y.numpy())
    return maker


def write_model(folder: Path, source: str, name: str = "net.py") -> Path:
    """Write a user's model file and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(source)
    return path


def read_rows(out: Path) -> list[dict[str, str]]:
    """Return the lines of a result's mapping.csv."""
    with open(out / "mapping.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
