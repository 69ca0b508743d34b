"""The architectures with one deliberate difference each: `mistakes.py:vgg_16_extra_head`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.modules import SamePadAvgPool2d, SamePadConv2d, SamePadMaxPool2d

MODELS = {
    "alexnet_v2": "AlexNet",
    "densenet121": "DenseNet",
    "inception_v1": "InceptionV1",
    "inception_v3": "InceptionV3",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "resnet_v1_50": "ResNetV1",
    "resnet_v2_50": "ResNetV2",
    "vgg_16": "VGG16",
    "xception": "Xception",
}


class ExtraHead(nn.Module):
    """A second head on the first's scores."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.extra_head = nn.Linear(classes, 21)
        self.network = network

    def forward(self, x: Tensor) -> tuple[Any, Tensor]:
        """Return what the network does, and the second head's scores."""
        result = self.network(x)
        scores = result if isinstance(result, Tensor) else result[0]
        return result, self.extra_head(scores.flatten(1))


class FixedEpsilon(nn.BatchNorm2d):
    """A batch norm written by hand that does not look at its own epsilon."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [N, C, H, W]."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-2
        )


def replace(model: nn.Module, change: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Put another module in the place of each for which there is one."""
    for path, module in list(model.named_modules()):
        other = change(module)
        if other is not None:
            put(model, path, other)
    return model


def put(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put one module in the place of another."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
    return model


def exchange(model: nn.Module, one: str, other: str) -> nn.Module:
    """Let two modules run in each other's place."""
    first, second = model.get_submodule(one), model.get_submodule(other)
    return put(put(model, one, second), other, first)


def even_padding(module: nn.Module) -> nn.Module | None:
    """What people write in torch where TensorFlow pads as SAME."""
    if isinstance(module, SamePadConv2d):
        return nn.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            padding=tuple(size // 2 for size in module.kernel_size),
            groups=module.groups,
            bias=module.bias is not None,
        )
    if isinstance(module, SamePadMaxPool2d):
        return nn.MaxPool2d(module.kernel_size, module.stride, padding=module.kernel_size // 2)
    if isinstance(module, SamePadAvgPool2d):
        return nn.AvgPool2d(module.kernel_size, module.stride, padding=module.kernel_size // 2)
    return None


def uneven_stem(path: str, model: nn.Module) -> nn.Module:
    """SAME where the graph pads evenly by an operation of its own."""
    stem = model.get_submodule(path)
    bias = stem.bias is not None
    return put(model, path, SamePadConv2d(3, 64, 7, 2, bias=bias))


def with_epsilon(module: nn.Module) -> nn.Module | None:
    """The same batch norm with a large epsilon, which the loader corrects."""
    if isinstance(module, nn.BatchNorm2d):
        return nn.BatchNorm2d(module.num_features, eps=0.25)
    return None


def fixed_epsilon(module: nn.Module) -> nn.Module | None:
    """The same batch norm with an epsilon that nothing can set."""
    return FixedEpsilon(module.num_features) if isinstance(module, nn.BatchNorm2d) else None


def leaky(module: nn.Module) -> nn.Module | None:
    """Another activation."""
    return nn.LeakyReLU() if isinstance(module, nn.ReLU) else None


def joined_otherwise(kind: str, model: nn.Module) -> nn.Module:
    """Let the modules of a class join their branches in another order."""
    for module in list(model.modules()):
        if type(module).__name__ == kind:
            module.register_forward_hook(_JOINED[kind])
    return model


def _branches_exchanged(module: Any, args: Any, output: Tensor) -> Tensor:
    """The two inner ones of four."""
    del args
    sizes = [
        module.one.conv.out_channels,
        module.large[1].conv.out_channels,
        module.small[1].conv.out_channels,
        module.after_pool[1].conv.out_channels,
    ]
    one, large, small, pooled = output.split(sizes, 1)
    return torch.cat([one, small, large, pooled], 1)


def _halves_exchanged(module: Any, args: Any, output: Tensor) -> Tensor:
    del module, args
    return torch.cat(output.chunk(2, 1)[::-1], 1)


def _new_channels_first(module: Any, args: Any, output: Tensor) -> Tensor:
    del args
    new = module.conv2.out_channels
    return torch.cat([output[:, -new:], output[:, :-new]], 1)


_JOINED = {
    "Block": _branches_exchanged,
    "Fork": _halves_exchanged,
    "Grow": _new_channels_first,
}


def raw_shortcut(model: nn.Module) -> nn.Module:
    """The first unit's shortcut reads the unit's input, before its norm and activation."""
    unit = model.get_submodule("units.0")

    def forward(x: Tensor) -> Tensor:
        active = torch.relu(unit.bn_in(x))
        y = torch.relu(unit.bn_a(unit.conv_a(active)))
        return unit.conv_c(torch.relu(unit.bn_b(unit.conv_b(y)))) + unit.project(x)

    unit.forward = forward
    return model


CLASSES = {
    "alexnet_v2": 6,
    "densenet121": 7,
    "inception_v1": 8,
    "inception_v3": 9,
    "mobilenet_v2": 10,
    "resnet50": 11,
    "resnet_v1_50": 12,
    "resnet_v2_50": 13,
    "vgg_16": 14,
    "xception": 15,
}
# The layer that is missing.
MISSING = {
    "alexnet_v2": "body.b",
    "densenet121": "last",
    "inception_v1": "stem.1",
    "inception_v3": "large.1.twice.2",
    "mobilenet_v2": "blocks.8.spatial",
    "resnet50": "layer1.1.convolutions.1",
    "resnet_v1_50": "stages.1.1.middle",
    "resnet_v2_50": "units.1.conv_b",
    "vgg_16": "hidden.second",
    "xception": "middle.3.steps.1",
}
# What runs in another place.
SWAPPED: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "alexnet_v2": partial(exchange, one="body.act2", other="body.b"),
    "densenet121": partial(joined_otherwise, "Grow"),
    "inception_v1": partial(joined_otherwise, "Block"),
    "inception_v3": partial(exchange, one="middle.2", other="middle.3"),
    "mobilenet_v2": partial(exchange, one="blocks.8", other="blocks.9"),
    "resnet50": partial(exchange, one="layer1.1.norms.0", other="layer1.1.norms.1"),
    "resnet_v1_50": partial(exchange, one="stages.2.1", other="stages.2.2"),
    "resnet_v2_50": raw_shortcut,
    "vgg_16": partial(exchange, one="trunk.scale2.1", other="trunk.scale2.2"),
    "xception": partial(exchange, one="shrink.1.norm", other="shrink.1.two.norm"),
}
EVEN: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    **dict.fromkeys(MODELS, partial(replace, change=even_padding)),
    "alexnet_v2": partial(put, path="body.stem", module=nn.Conv2d(3, 64, 11, 4, padding=2)),
    "densenet121": partial(uneven_stem, "stem.0"),
    "resnet50": partial(uneven_stem, "conv"),
    "vgg_16": partial(put, path="trunk.scale0.4", module=nn.MaxPool2d(2, padding=1)),
}
WITHOUT_NORMS = ("alexnet_v2", "vgg_16")


def right(name: str) -> nn.Module:
    """The module without a difference."""
    return getattr(importlib.import_module(f"torch_{name}"), MODELS[name])()


def mistakes_of(name: str) -> dict[str, Callable[[], nn.Module]]:
    """Return the differences of one architecture."""
    found: dict[str, Callable[[], nn.Module]] = {
        "extra_head": lambda: ExtraHead(right(name), CLASSES[name]),
        "missing_layer": lambda: put(right(name), MISSING[name], nn.Identity()),
        "swapped_branch": lambda: SWAPPED[name](right(name)),
        "even_padding": lambda: EVEN[name](right(name)),
    }
    if name in WITHOUT_NORMS:
        return {**found, "other_activation": lambda: replace(right(name), leaky)}
    return {
        **found,
        "wrong_epsilon": lambda: replace(right(name), with_epsilon),
        "fixed_epsilon": lambda: replace(right(name), fixed_epsilon),
    }


for _name in MODELS:
    for _mistake, _factory in mistakes_of(_name).items():
        globals()[f"{_name}_{_mistake}"] = _factory
