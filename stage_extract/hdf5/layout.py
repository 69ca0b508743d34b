"""Where Keras puts the weights in an HDF5 file (tensorflow/python/keras/saving/hdf5_format.py).

    /                   attributes layer_names, keras_version, backend, and a group a layer
    /LAYER              attribute weight_names, and an array under each of these names

A whole model has that below /model_weights, an attribute model_config (JSON) at the root, and the
optimizer's weights in /optimizer_weights.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from stage_extract.errors import NotTensorFlow
from stage_extract.hdf5.file import HdfFile, element_type

_LAYER_NAMES, _WEIGHT_NAMES = "layer_names", "weight_names"
_MODEL_WEIGHTS, _OPTIMIZER_WEIGHTS = "model_weights", "optimizer_weights"


class Weight(NamedTuple):
    """One array that Keras saved.

    Attributes:
        name: of the variable; unique in the file.
        layer: the layer that has it; None for a weight of the optimizer.
        path: of the array in the file.
        dtype: as `VariableInfo.dtype`.
        shape: its sizes.
    """

    name: str
    layer: Optional[str]
    path: str
    dtype: str
    shape: Tuple[int, ...]


class KerasLayout(NamedTuple):
    """What a file of Keras holds.

    Attributes:
        weights: of the layers, in Keras' order; then those of the optimizer.
        model_config: the model as JSON; None in a file of weights alone.
        keras_version: of the Keras that wrote it; None where the file does not say (Keras 1).
        backend: what Keras computed with ("tensorflow", "theano", "cntk"); None likewise.
    """

    weights: Tuple[Weight, ...]
    model_config: Optional[str]
    keras_version: Optional[str]
    backend: Optional[str]

    def of_layers(self) -> Dict[str, List[Weight]]:
        """Give the weights by layer, for the layers that have any, in order."""
        layers: Dict[str, List[Weight]] = {}
        for weight in self.weights:
            if weight.layer is not None:
                layers.setdefault(weight.layer, []).append(weight)
        return layers


def read_layout(file: HdfFile) -> KerasLayout:
    """Read everything but the numbers.

    Raises:
        NotTensorFlow: Keras did not write the file.
        UnsupportedFormat, CorruptIndex, TruncatedData: see `HdfFile`.
    """
    root = file.group("/")
    whole = file.group(_MODEL_WEIGHTS)
    top = root if whole is None else whole
    layers = file.texts(top, _LAYER_NAMES)
    if layers is None:
        raise NotTensorFlow(
            f"{file.path!r} is an HDF5 file without layer_names.",
            "Expected what Keras of TensorFlow 1.x writes with save_weights or save.",
            "Give the file that the training saved. What Keras 3 saves is of another layout.",
        )
    prefix = "" if whole is None else f"{_MODEL_WEIGHTS}/"
    weights: List[Weight] = []
    for layer in layers:
        weights += _weights(file, prefix + layer, layer)
    if file.group(_OPTIMIZER_WEIGHTS) is not None:
        weights += _weights(file, _OPTIMIZER_WEIGHTS, None)
    return KerasLayout(
        weights=_with_unique_names(file, weights),
        model_config=file.text(root, "model_config"),
        keras_version=file.text(top, "keras_version"),
        backend=file.text(top, "backend"),
    )


def _weights(file: HdfFile, group_path: str, layer: Optional[str]) -> List[Weight]:
    group: Any = file.group(group_path)
    if group is None:
        raise file.corrupt(f"names the layer {layer!r}, and has no group for it")
    weights = []
    for stored_name in file.texts(group, _WEIGHT_NAMES) or ():
        path = f"{group_path}/{stored_name}"
        dtype, shape = element_type(file, path, file.dataset(path))
        name = stored_name[: -len(":0")] if stored_name.endswith(":0") else stored_name
        weights.append(Weight(name, layer, path, dtype, shape))
    return weights


def _with_unique_names(file: HdfFile, weights: List[Weight]) -> Tuple[Weight, ...]:
    """Put the layer's name before a name that several layers use."""
    counts = Counter(weight.name for weight in weights)
    unique = [
        weight
        if counts[weight.name] == 1
        else weight._replace(name=f"{weight.layer or _OPTIMIZER_WEIGHTS}/{weight.name}")
        for weight in weights
    ]
    twice = [name for name, count in Counter(one.name for one in unique).items() if count > 1]
    if twice:
        raise file.corrupt(f"names the weight {twice[0]!r} twice")
    return tuple(unique)
