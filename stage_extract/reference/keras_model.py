"""Rebuilds a Keras model from its configuration, as a graph with the variables of the file.

No weight is read and nothing is run: what comes out is the graph that Keras itself would save.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import Event
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import tensorflow
from tensorflow.python.keras import models

from stage_extract.graph.graphdef import GraphUnreadable
from stage_extract.reference.keras_config import read_config

_compat = tensorflow.compat.v1
# What Keras raises where a configuration is not as it wrote it.
_KERAS_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    # What an error raised while a C function of TensorFlow runs comes out as.
    SystemError,
    TypeError,
    ValueError,
    tensorflow.errors.OpError,
)
_FILE_NAME = "saved_weights/file"
# Models within models can ask for any number of layers in a few lines of JSON. The largest of
# Keras' own applications take a quarter of this.
PROCESSOR_LIMIT_S = 60.0


class StoredWeight(NamedTuple):
    """What the file says of one weight of a layer: the name of the variable, and its shape."""

    name: str
    shape: Tuple[int, ...]


class RebuiltModel(NamedTuple):
    """A model as a graph.

    Attributes:
        meta_graph: serialised MetaGraphDef; its saver tells the variables' names in the file.
        inputs: names of the tensors that the model reads.
        outputs: names of those that it gives.
    """

    meta_graph: bytes
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


def rebuild(
    config_text: str, weights: Mapping[str, Sequence[StoredWeight]], others: Sequence[str]
) -> RebuiltModel:
    """Build a model.

    Args:
        config_text: Keras' JSON.
        weights: by layer, in Keras' order, for the layers that have any.
        others: names of what else the file holds.

    Raises:
        GraphUnreadable: it names code or an unknown class, Keras refuses it, or the weights are not
            those of its layers.
    """
    config = read_config(config_text)
    graph = tensorflow.Graph()
    with graph.as_default():
        used_up = Event()
        try:
            with _processor_limit(PROCESSOR_LIMIT_S, used_up):
                model = models.model_from_config(config)
        except _KERAS_ERRORS as error:
            if used_up.is_set():
                raise GraphUnreadable(
                    f"Keras has not built its model after {PROCESSOR_LIMIT_S:.0f} s"
                ) from error
            first_line = f"{type(error).__name__}: {error}".split("\n", 1)[0]
            raise GraphUnreadable(f"Keras cannot build its model ({first_line})") from error
        if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
            raise GraphUnreadable("its model does not say what shape its input has")
        names = _names(model, weights)
        saver = _saver(names, others)
        meta_graph = _compat.train.export_meta_graph(graph=graph, saver_def=saver)
    try:
        content = meta_graph.SerializeToString()
    except ValueError as error:
        raise GraphUnreadable(f"its graph is too large ({error})") from error
    inputs, outputs = ([tensor.name for tensor in ends] for ends in (model.inputs, model.outputs))
    return RebuiltModel(content, tuple(inputs), tuple(dict.fromkeys(outputs)))


@contextmanager
def _processor_limit(limit_s: float, used_up: Event) -> Iterator[None]:
    """End the block when it has used some processor time; only in the process' main thread.

    Args:
        limit_s: the time.
        used_up: set then: what is raised may come out as another error.

    Raises:
        RuntimeError: the time is used up.
    """

    def stop(number: int, frame: Any) -> None:
        used_up.set()
        raise RuntimeError("the processor time is used up")

    before = signal.signal(signal.SIGPROF, stop)
    # Again and again: what is built may catch the first one.
    signal.setitimer(signal.ITIMER_PROF, limit_s, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _names(model: Any, weights: Mapping[str, Sequence[StoredWeight]]) -> Dict[str, Any]:
    """Pair the model's variables with the file's weights: by order, as Keras does."""
    layers = [(layer, _variables(layer)) for layer in model.layers]
    with_weights = [(layer, variables) for layer, variables in layers if variables]
    if len(with_weights) != len(weights):
        raise GraphUnreadable(
            f"{len(with_weights)} layers of its model have weights, and it holds those of "
            f"{len(weights)}"
        )
    names: Dict[str, Any] = {}
    for (layer, variables), stored in zip(with_weights, weights.values()):
        shapes = [tuple(variable.shape.as_list()) for variable in variables]
        if shapes != [weight.shape for weight in stored]:
            raise GraphUnreadable(
                f"the layer {layer.name!r} of its model has weights of the shapes "
                f"{list(map(list, shapes))}, and it holds "
                f"{[list(weight.shape) for weight in stored]}"
            )
        names.update((weight.name, variable) for weight, variable in zip(stored, variables))
    return names


def _variables(layer: Any) -> List[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _saver(names: Mapping[str, Any], others: Sequence[str]) -> Any:
    """Add an op that would write the file's weights under their names, and give its SaverDef."""
    file_name = _compat.placeholder_with_default("", (), name=_FILE_NAME)
    nothing = tensorflow.constant(0.0)
    save = tensorflow.raw_ops.SaveV2(
        prefix=file_name,
        tensor_names=[*names, *others],
        shape_and_slices=[""] * (len(names) + len(others)),
        tensors=[*(variable.read_value() for variable in names.values()), *[nothing] * len(others)],
    )
    return _compat.train.SaverDef(
        filename_tensor_name=file_name.name,
        save_tensor_name=save.name,
        restore_op_name=save.name,
        version=_compat.train.SaverDef.V2,
    )
