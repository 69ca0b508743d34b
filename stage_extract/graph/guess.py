"""Layers guessed from names and shapes, for a checkpoint without its graph.

TensorFlow's own layers name their variables in a few ways; anything else is left alone. A rank or a
size never decides alone between layouts of one shape: what the name does not say is the commonest.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.layers.layer import Layer, vector_axes
from stage_extract.reader import VariableInfo

_OBJECT_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# Last part of a name -> role; TensorFlow's layers, slim, Keras, tensorpack and hand-written models.
_ROLE_WORDS: Mapping[str, Tuple[str, ...]] = {
    "kernel": (
        "kernel", "weight", "weights", "w", "filter", "filters", "depthwise_kernel",
        "depthwise_weights", "pointwise_kernel", "pointwise_weights",
    ),
    "bias": ("bias", "biases", "b"),
    "gamma": ("gamma", "scale"),
    "beta": ("beta", "offset"),
    "moving_mean": ("moving_mean", "mean/ema", "pop_mean", "running_mean"),
    "moving_variance": (
        "moving_variance", "moving_var", "variance/ema", "pop_var", "pop_variance", "running_var",
    ),
    "embedding": (
        "embedding", "embeddings", "embedding_weights", "embedding_table", "embedding_matrix",
        "word_embeddings", "position_embeddings", "token_type_embeddings", "lookup_table",
    ),
}  # fmt: skip
# Keras before 2.0: "block1_conv1_W", "bn_running_std" (which is the variance), numbered if need be.
_KERAS_1_NAME = re.compile(
    r"(?P<scope>.*[^_/])_(?P<word>W|b|gamma|beta|running_mean|running_std)(?:_\d+)?$"
)
_KERAS_1_WORDS: Mapping[str, str] = MappingProxyType(
    {"W": "kernel", "b": "bias", "running_std": "moving_variance", "running_mean": "moving_mean"}
)
_ROLE_OF_WORD = {word: role for role, words in _ROLE_WORDS.items() for word in words}
_NORMALISER_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
_TRANSPOSED_NAME = re.compile(r"transpose|deconv|up_?conv", re.I)
_DEPTHWISE_NAME = re.compile(r"depthwise|(^|[/_])dw([/_]|$)", re.I)
_CONVOLUTION_NAME = re.compile(r"conv|depthwise|pointwise", re.I)
_KERNEL_AXES: Mapping[str, str] = MappingProxyType(
    {
        "conv1d": "WIO",
        "conv1d_transpose": "WOI",
        "conv2d": "HWIO",
        "conv2d_transpose": "HWOI",
        "conv3d": "DHWIO",
        "conv3d_transpose": "DHWOI",
        "dense": "IO",
        "depthwise_conv1d": "WCM",
        "depthwise_conv2d": "HWCM",
    }
)
_UNNAMED = re.compile(r"(^|/)variable(_\d+)?$", re.I)
_DENSE_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({"transpose_b": False, "flatten": None})
_NUMBERS = re.compile(r"(\d+)")


class _Named(NamedTuple):
    info: VariableInfo
    scope: str
    role: Optional[str]


def guess_layers(
    variables: Sequence[VariableInfo],
    averages: Mapping[str, str] = MappingProxyType({}),
    order: Sequence[str] = (),
) -> List[Layer]:
    """Group variables to layers.

    Args:
        variables: the checkpoint's.
        averages: variable -> its moving average, which takes its place.
        order: names in the order of their layers, where that is known; else, and behind them,
            natural order: conv2d, conv2d_1, … conv2d_10.
    """
    groups = _group_by_scope(variables, {name: place for place, name in enumerate(order)})
    # Taken apart while the layers are made: both at once would take twice the memory.
    layers = (_layer(scope, groups.pop(scope)) for scope in list(groups))
    return [_averaged(layer, averages) for layer in layers if layer is not None]


def _averaged(layer: Layer, averages: Mapping[str, str]) -> Layer:
    """Give a layer with the moving averages of its variables, which have the same shapes."""
    return layer._replace(
        variables={role: averages.get(name, name) for role, name in layer.variables.items()},
        axes={averages.get(name, name): axes for name, axes in layer.axes.items()},
    )


def _group_by_scope(
    variables: Sequence[VariableInfo], places: Mapping[str, int]
) -> Dict[str, Dict[str, VariableInfo]]:
    def key(one: _Named) -> Tuple[Any, ...]:
        return (places.get(one.info.name, len(places)), _natural(one))

    named = sorted((_name_role(info) for info in variables), key=key)
    groups: Dict[str, Dict[str, VariableInfo]] = {}
    last_kernel: Optional[str] = None
    for one in named:
        role, scope = one.role, one.scope
        if role is None and _UNNAMED.search(one.info.name):
            role, scope = _unnamed_role(one.info, groups.get(last_kernel or "", {}), last_kernel)
            last_kernel = scope if role == "kernel" else None
        if role is not None:
            groups.setdefault(scope, {}).setdefault(role, one.info)
    return groups


def _name_role(info: VariableInfo) -> _Named:
    name = info.name
    if name.endswith(_OBJECT_SUFFIX):
        name = name[: -len(_OBJECT_SUFFIX)]
    parts = name.split("/")
    for length in (2, 1):
        word = "/".join(parts[-length:]).lower()
        if len(parts) >= length and word in _ROLE_OF_WORD:
            role = _ROLE_OF_WORD[word]
            scope = "/".join(parts[:-length])
            if parts[-1].lower().startswith(("depthwise", "pointwise")):
                scope = f"{scope}/{parts[-1]}" if scope else parts[-1]
            return _Named(info, scope, role)
    old = _KERAS_1_NAME.match(name)
    if old is not None:
        return _Named(info, old["scope"], _KERAS_1_WORDS.get(old["word"], old["word"]))
    return _Named(info, name, None)


def _natural(one: _Named) -> Tuple[Any, ...]:
    pieces = _NUMBERS.split(one.info.name)
    # Numbers compare as numbers; a name without one comes before the same name with one.
    return tuple(int(piece) if index % 2 else piece for index, piece in enumerate(pieces))


def _unnamed_role(
    info: VariableInfo, group: Mapping[str, VariableInfo], last: Optional[str]
) -> Tuple[Optional[str], str]:
    """Give (role, scope) of "Variable_7": a kernel, or the bias right behind one."""
    if len(info.shape) in (2, 4):
        return "kernel", info.name
    kernel = group.get("kernel")
    if kernel is None or last is None or len(info.shape) != 1:
        return None, info.name
    return ("bias", last) if info.shape[0] in kernel.shape[-2:] else (None, info.name)


def _layer(scope: str, group: Mapping[str, VariableInfo]) -> Optional[Layer]:
    kind = _kind(scope, group)
    if kind is None:
        return None
    axes: Dict[str, str] = {}
    variables: Dict[str, str] = {}
    for role, info in group.items():
        letters = _axes(kind, role, info)
        if letters is not None:
            variables[role] = info.name
            axes[info.name] = letters
    if not variables:
        return None
    return Layer(
        kind=kind,
        op=scope,
        variables=variables,
        axes=axes,
        input=None,
        op_output="",
        output="",
        attributes=_attributes(kind, group),
        nodes=frozenset(),
    )


def _kind(scope: str, group: Mapping[str, VariableInfo]) -> Optional[str]:
    kernel = group.get("kernel")
    if kernel is not None:
        rank = len(kernel.shape)
        # Three axes may be a projection of attention as well.
        if rank in (4, 5) or (rank == 3 and _CONVOLUTION_NAME.search(kernel.name)):
            return _convolution_kind(scope, kernel, group.get("bias"))
        return "dense" if rank == 2 else None
    if "embedding" in group:
        return "embedding" if len(group["embedding"].shape) == 2 else None
    if "moving_mean" in group or ("gamma" in group and "beta" in group):
        return "batch_norm"
    return "bias_add" if "bias" in group else None


def _convolution_kind(scope: str, kernel: VariableInfo, bias: Optional[VariableInfo]) -> str:
    third, fourth = kernel.shape[-2:]
    kind = f"conv{len(kernel.shape) - 2}d"
    if _DEPTHWISE_NAME.search(kernel.name) and f"depthwise_{kind}" in _KERNEL_AXES:
        return f"depthwise_{kind}"
    outputs = bias.shape[-1] if bias is not None and bias.shape else None
    if third != fourth and outputs in (third, fourth):
        return f"{kind}_transpose" if outputs == third else kind
    return f"{kind}_transpose" if _TRANSPOSED_NAME.search(scope) else kind


def _axes(kind: str, role: str, info: VariableInfo) -> Optional[str]:
    if role == "kernel":
        return _KERNEL_AXES.get(kind)
    if role == "embedding":
        return "VD" if kind == "embedding" else None
    allowed = _NORMALISER_ROLES if kind == "batch_norm" else ("bias",)
    return vector_axes(info.shape) if role in allowed else None


def _attributes(kind: str, group: Mapping[str, VariableInfo]) -> Mapping[str, Any]:
    """Give what shapes say; all else is null, the contract's word for "not known"."""
    if kind in _KERNEL_AXES and kind != "dense":
        keys = ("strides", "padding", "explicit_padding", "dilations", "data_format")
        found: Dict[str, Any] = dict.fromkeys(keys)
        found["kernel_size"] = list(group["kernel"].shape[:-2])
        if kind.endswith("transpose"):
            found["output_size"] = None
        return found
    if kind == "dense":
        return _DENSE_ATTRIBUTES
    if kind == "embedding":
        vocabulary, dimension = group["embedding"].shape
        return {"vocabulary": vocabulary, "dimension": dimension}
    if kind == "bias_add":
        return {"data_format": None}
    unknown = ("epsilon", "effective_epsilon", "decay", "fused", "is_training", "data_format")
    return {**dict.fromkeys(unknown), "decay_reason": "there is no graph"}
