"""HDF5 files of Keras: the weights of layers, and the model itself where `model.save` wrote it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import List, NamedTuple, Optional, Tuple

from stage_extract.errors import EmptyCheckpoint, UnsupportedFormat
from stage_extract.files import open_for_reading
from stage_extract.finding.located import Located
from stage_extract.graph.graphdef import GraphUnreadable, MetaGraph, parse_meta_graph
from stage_extract.hdf5.layout import KerasLayout, Weight
from stage_extract.hdf5.process import HdfProcess
from stage_extract.hdf5.reader import KerasReader
from stage_extract.jobs import ExtractOptions
from stage_extract.reader import VariableReader
from stage_extract.selecting.selection import OPTIMIZER_SLOT, STEP_COUNTER
from stage_extract.source import GraphFile, Source

_WEIGHTS_ALONE = (
    "the file holds weights alone, and what Keras' model.to_json() gives does not lie beside it as "
    "{name}"
)
_CONFIG_LIMIT_BYTES = 64 * 2**20


class RebuiltGraph(GraphFile):
    """The graph that Keras builds from the model's configuration.

    Args:
        content: serialised MetaGraphDef.
    """

    kind = "keras"
    words = "the model in the file"

    def __init__(self, content: bytes) -> None:
        self._content = content

    def parse(self) -> MetaGraph:
        """Read the graph."""
        return parse_meta_graph(self._content)


class _Model(NamedTuple):
    """What the file, or one beside it, says of the model itself.

    Attributes:
        graph: None if there is none, or none that is built.
        inputs: the model's.
        outputs: the model's.
        no_graph: why there is no graph.
        paths: files that were read for it.
        warnings: for the user.
    """

    graph: Optional[RebuiltGraph] = None
    inputs: Tuple[str, ...] = ()
    outputs: Tuple[str, ...] = ()
    no_graph: str = ""
    paths: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()


def open_hdf5(located: Located, options: ExtractOptions) -> Source:
    """Read the list of weights, and rebuild the model if it is there.

    Raises:
        NotTensorFlow, UnsupportedFormat, CorruptIndex, TruncatedData: see `HdfProcess`.
        NotReadable: the operating system refuses.
        EmptyCheckpoint: it holds no weights.
    """
    path = located.prefix
    layout = _read_layout(path)
    model = _find_model(path, layout)

    def open_reader() -> VariableReader:
        return KerasReader(path)

    return Source(
        format="HDF5",
        prefix=path,
        step=located.step,
        paths=(path, *model.paths),
        open_reader=open_reader,
        graph=model.graph,
        restore_prefix=None,
        inputs=model.inputs,
        outputs=model.outputs,
        warnings=(*_warnings(layout), *model.warnings),
        no_graph=model.no_graph,
        variable_order=tuple(weight.name for weight in layout.weights),
        training_state={weight.name: _training_state(weight) for weight in layout.weights},
    )


def _read_layout(path: str) -> KerasLayout:
    with closing(HdfProcess(path)) as file:
        layout = file.layout
    if not layout.weights:
        raise EmptyCheckpoint(
            f"{path!r} holds no weights.",
            "Expected at least one layer with weights.",
            "Look whether the model was built before it was saved.",
        )
    _refuse_turned_kernels(path, layout)
    return layout


def _find_model(path: str, layout: KerasLayout) -> _Model:
    json_path = os.path.splitext(path)[0] + ".json"
    config = layout.model_config
    model = _Model()
    if config is None:
        name = os.path.basename(json_path)
        if not os.path.isfile(json_path):
            return _Model(no_graph=_WEIGHTS_ALONE.format(name=name))
        config = _read_config(json_path)
        told = f"The model is read from {name!r} beside the file."
        model = _Model(paths=(json_path,), warnings=(told,))
    try:
        graph, inputs, outputs = _rebuild(config, layout)
    except GraphUnreadable as error:
        reason = f"{RebuiltGraph.words} cannot be rebuilt: {error}"
        warning = f"The graph is left out, {reason}. Layers are guessed."
        return model._replace(no_graph=reason, warnings=(*model.warnings, warning))
    return model._replace(graph=graph, inputs=inputs, outputs=outputs)


def _training_state(weight: Weight) -> Optional[Tuple[str, str]]:
    if weight.layer is not None:
        return None
    is_step = weight.name.rpartition("/")[2] in ("iter", "iterations")
    return STEP_COUNTER if is_step else OPTIMIZER_SLOT, "a weight of the Keras optimizer"


def _read_config(path: str) -> str:
    """Read the JSON of a model beside its weights; what it is worth is seen when it is built."""
    with open_for_reading(path) as file:
        return file.read(_CONFIG_LIMIT_BYTES).decode("utf-8", "replace")


def _rebuild(
    config: str, layout: KerasLayout
) -> Tuple[RebuiltGraph, Tuple[str, ...], Tuple[str, ...]]:
    # Not at the top: it imports TensorFlow, and a process without it can tell what a file is.
    from stage_extract.reference.keras_model import StoredWeight, rebuild

    layers = {
        layer: [StoredWeight(weight.name, weight.shape) for weight in weights]
        for layer, weights in layout.of_layers().items()
    }
    others = [weight.name for weight in layout.weights if weight.layer is None]
    model = rebuild(config, layers, others)
    return RebuiltGraph(model.meta_graph), model.inputs, model.outputs


def _refuse_turned_kernels(path: str, layout: KerasLayout) -> None:
    """Theano computed true convolutions: its kernels are turned by 180 degrees against these."""
    if layout.backend == "theano" and any(len(weight.shape) > 2 for weight in layout.weights):
        raise UnsupportedFormat(
            f"{path!r} was written by Keras on Theano, and holds kernels of convolutions.",
            "Expected Keras on TensorFlow, whose convolutions do not turn their kernels.",
            "Load it with Keras on TensorFlow, which turns them, and save it from there.",
        )


def _warnings(layout: KerasLayout) -> List[str]:
    if layout.keras_version is None or layout.keras_version.startswith("1."):
        version = layout.keras_version or "1 (the file does not say)"
        return [
            f"Keras {version} wrote the file. Its weights are read as they are; those of recurrent "
            "layers, and kernels in Theano's order, were stored in another way than later."
        ]
    return []
