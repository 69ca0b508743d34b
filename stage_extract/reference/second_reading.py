"""A second reading of a checkpoint, by TensorFlow's own code, to compare the first one with."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy
import tensorflow
from tensorflow.python import pywrap_tensorflow
from tensorflow.python.framework import tensor_util

from stage_extract.files import literal_name
from stage_extract.finding.checkpoint_names import INDEX_SUFFIX
from stage_extract.reader import VariableInfo
from stage_extract.source import GraphFile, Source
from stage_extract.storage.comparing_reader import SecondReading, SecondReadingFailed

_compat = tensorflow.compat.v1
_SHARD = re.compile(r"-\d{5,}(-of-\d{5,})$")


class RestoredTensors(SecondReading):
    """The restore ops on a checkpoint: unlike CheckpointReader they read V1's every type and cut.

    Args:
        path: prefix of a V2 checkpoint; of a V1 one its file, or the pattern of its shards.
        is_v1: which of the two formats; both may lie at one prefix.
    """

    def __init__(self, path: str, is_v1: bool) -> None:
        self._path = path
        self._is_v1 = is_v1
        self._graph = _compat.Graph()
        # One op a type, fed with names: a graph that grew with each tensor would be set up anew.
        self._ops: Dict[str, Any] = {}
        with self._graph.as_default():
            self._name = _compat.placeholder(tensorflow.string, [])
            self._session = _compat.Session()

    def listing(self) -> Optional[Mapping[str, VariableInfo]]:
        """Give what CheckpointReader lists (see `SecondReading.listing`)."""
        if self._is_v1 and os.path.exists(f"{self._path}.index"):
            # It would list the V2 checkpoint of the same prefix.
            return None
        reader = pywrap_tensorflow.NewCheckpointReader(self._path)
        dtypes = reader.get_variable_to_dtype_map()
        return {
            name: VariableInfo(name, dtypes[name].name, tuple(shape))
            for name, shape in reader.get_variable_to_shape_map().items()
        }

    def read(self, info: VariableInfo) -> Tuple[VariableInfo, Any]:
        """Run the restore op (see `SecondReading.read`)."""
        if info.dtype not in self._ops:
            with self._graph.as_default():
                self._ops[info.dtype] = self._restore(tensorflow.as_dtype(info.dtype))
        try:
            value = self._session.run(self._ops[info.dtype], {self._name: info.stored_name})
        except tensorflow.errors.OpError as error:
            raise SecondReadingFailed(error.message) from error
        return _described(info.name, value)

    def close(self) -> None:
        """Close the session (see `SecondReading.close`)."""
        self._session.close()

    def _restore(self, dtype: Any) -> Any:
        if self._is_v1:
            return tensorflow.raw_ops.Restore(
                file_pattern=self._path, tensor_name=self._name, dt=dtype
            )
        names = tensorflow.reshape(self._name, [1])
        (value,) = tensorflow.raw_ops.RestoreV2(
            prefix=self._path, tensor_names=names, shape_and_slices=[""], dtypes=[dtype]
        )
        return value


class LinkedTensors(RestoredTensors):
    """A checkpoint that TensorFlow does not find where it lies, brought together by links.

    It looks for data shards beside the index alone, and takes what it is given for a glob.

    Args:
        paths: all its files.
        is_v1: as of `RestoredTensors`.
    """

    def __init__(self, paths: Sequence[str], is_v1: bool) -> None:
        self._folder = tempfile.mkdtemp(prefix="linked-")
        links = []
        for path in paths:
            name = literal_name(os.path.basename(path))
            links.append(os.path.join(self._folder, name))
            os.symlink(os.path.abspath(path), links[-1])
        super().__init__(_v1_pattern(links) if is_v1 else _v2_prefix(links), is_v1)

    def close(self) -> None:
        """Close the session and remove the links (see `SecondReading.close`)."""
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Constants(SecondReading):
    """The constants of a frozen graph, as TensorFlow's own function decodes them.

    Args:
        graph: the graph as TensorFlow runs it.
    """

    def __init__(self, graph: GraphFile) -> None:
        nodes = graph.parse_to_run().proto.graph_def.node
        self._tensors = {
            node.name: node.attr["value"].tensor for node in nodes if node.op == "Const"
        }

    def listing(self) -> Optional[Mapping[str, VariableInfo]]:
        """Give nothing: which constants are weights is for this program to say."""
        return None

    def read(self, info: VariableInfo) -> Tuple[VariableInfo, Any]:
        """Decode one (see `SecondReading.read`)."""
        try:
            value = tensor_util.MakeNdarray(self._tensors[info.name])
        except (KeyError, TypeError, ValueError) as error:
            raise SecondReadingFailed(str(error)) from error
        return _described(info.name, value)

    def close(self) -> None:
        """Let go of the graph (see `SecondReading.close`)."""
        self._tensors = {}


def second_reading_of(source: Source) -> Optional[SecondReading]:
    """Give TensorFlow's own way to read a source; None where it has none."""
    if source.restore_prefix is not None:
        return RestoredTensors(source.restore_prefix, is_v1=False)
    if any(path.endswith(INDEX_SUFFIX) for path in source.paths):
        return LinkedTensors(source.paths, is_v1=False)
    if source.format in ("V1", "session bundle"):
        if literal_name(source.paths[0]) != source.paths[0]:
            return LinkedTensors(source.paths, is_v1=True)
        return RestoredTensors(_v1_pattern(source.paths), is_v1=True)
    if source.format in ("frozen graph", "SavedModel") and source.graph is not None:
        return Constants(source.graph)
    return None


def _v2_prefix(paths: Sequence[str]) -> str:
    return next(path[: -len(INDEX_SUFFIX)] for path in paths if path.endswith(INDEX_SUFFIX))


def _v1_pattern(paths: Sequence[str]) -> str:
    """Give the pattern by which TensorFlow finds all files of a V1 checkpoint."""
    return _SHARD.sub(r"-?????\1", paths[0])


def _described(name: str, value: Any) -> Tuple[VariableInfo, Any]:
    array = numpy.asarray(value)
    info = VariableInfo(name, tensorflow.as_dtype(array.dtype).name, array.shape)
    return info, numpy.frombuffer(array.tobytes(), dtype=numpy.uint8)
