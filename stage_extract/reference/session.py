"""One TensorFlow session over a part of a graph, with the variables read from the checkpoint."""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

import tensorflow

from stage_extract.memory import limited_memory
from stage_extract.reference.determinism import session_config
from stage_extract.reference.filling import Fill, Filler
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.subgraph import Subgraph
from stage_extract.reference.variables import VariableSource
from stage_extract.storage.slices import count_elements

# One session's runs together. TensorFlow looks at the clock between two kernels.
LONGEST_RUNS_S = 600.0
# "(defined at /home/…/ops.py:1748)"
_SOURCE_FILE = re.compile(r" ?\(defined at [^)]*\)")
_NODE_IN_MESSAGE = re.compile(r"\[\[\{*node ([^\s}]+)")

_compat = tensorflow.compat.v1
_FINAL_ERRORS = (
    tensorflow.errors.FailedPreconditionError,
    tensorflow.errors.NotFoundError,
    tensorflow.errors.UnimplementedError,
)
# What TensorFlow reports as an invalid argument though no other input would be valid.
_FINAL_TEXTS = ("No OpKernel was registered", "only supports NHWC")


class RunFailed(Exception):
    """TensorFlow refused to run the graph on some inputs; the text is its own, with the node.

    Attributes:
        is_final: other inputs would not help, as with an op that has no kernel for this machine.
    """

    def __init__(self, text: str, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


class Measured(NamedTuple):
    """What is known of a tensor after a run, without its values.

    Attributes:
        shape: its sizes.
        dtype: numpy's name of its type.
    """

    shape: Tuple[int, ...]
    dtype: str

    @property
    def size_bytes(self) -> int:
        """Give the size of the values."""
        return count_elements(self.shape) * int(tensorflow.as_dtype(self.dtype).size)


class ImportedGraph:
    """A part of a graph as TensorFlow's own object.

    Raises:
        ReferenceUnavailable: TensorFlow cannot import the part.
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self.feed_names = subgraph.feed_names
        self._fetch_names = subgraph.fetch_names
        self.config = session_config(subgraph.graph_def)
        self.graph = tensorflow.Graph()
        with self.graph.as_default():
            try:
                # With the producer's ops, attributes of a later TensorFlow that have their default
                # value are no obstacle.
                tensorflow.import_graph_def(
                    subgraph.graph_def, name="", producer_op_list=subgraph.producer_ops
                )
            except (ValueError, TypeError, tensorflow.errors.OpError) as error:
                first_line = str(error).split("\n", 1)[0]
                raise ReferenceUnavailable(
                    f"TensorFlow cannot import the graph: {first_line}"
                ) from error

    def tensor(self, name: str) -> Any:
        """Give TensorFlow's tensor for an original name.

        Raises:
            ReferenceUnavailable: the node has no such output.
        """
        original = self._fetch_names.get(name, name)
        try:
            return self.graph.get_tensor_by_name(self.feed_names.get(original, original))
        except (KeyError, ValueError) as error:
            raise ReferenceUnavailable(f"the graph has no tensor '{name}'") from error

    def dtype(self, name: str) -> str:
        """Give numpy's name of a tensor's type."""
        return str(self.tensor(name).dtype.base_dtype.name)


class ReferenceSession:
    """Runs an imported graph as often as asked, always on the same variables.

    Args:
        imported: the graph.
        sources: where the value of each variable lies.
        filler: gives the variables their values.
        tensors: names of the numeric tensors that may be measured or fetched.

    Raises:
        ReferenceUnavailable: TensorFlow cannot restore a variable.
    """

    def __init__(
        self,
        imported: ImportedGraph,
        sources: Sequence[VariableSource],
        filler: Filler,
        tensors: Sequence[str],
    ) -> None:
        self._imported = imported
        self._shapes: Dict[str, Any] = {}
        self._add_probes(tensors)
        fills = filler.prepare(imported.graph, sources)
        self._session = _compat.Session(graph=imported.graph, config=imported.config)
        self._fill(fills)
        self._ends_at_s = time.monotonic() + LONGEST_RUNS_S

    def __enter__(self) -> ReferenceSession:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._session.close()

    def measure(
        self, feeds: Mapping[str, Any], tensors: Sequence[str], outputs: Sequence[str] = ()
    ) -> Tuple[Dict[str, Measured], Dict[str, Any]]:
        """Run the graph once for the shapes of some tensors and the values of others.

        Args:
            feeds: values by name.
            tensors: their values stay inside of TensorFlow.
            outputs: their values are given as well.

        Returns:
            What is known of all of them, and the values of the outputs.

        Raises:
            RunFailed: TensorFlow refuses the inputs, or a tensor has no value.
        """
        shapes = [self._shapes[tensor] for tensor in tensors]
        values = [self._imported.tensor(tensor) for tensor in outputs]
        found_shapes, found_values = self._run([shapes, values], feeds)
        known = {
            tensor: Measured(tuple(int(size) for size in shape), self._imported.dtype(tensor))
            for tensor, shape in zip(tensors, found_shapes)
        }
        fetched = dict(zip(outputs, found_values))
        for tensor, value in fetched.items():
            known[tensor] = Measured(tuple(value.shape), self._imported.dtype(tensor))
        return known, fetched

    def fetch(self, feeds: Mapping[str, Any], tensors: Sequence[str]) -> Dict[str, Any]:
        """Give the values of some tensors from one run.

        Raises:
            RunFailed: as `measure`.
        """
        values = self._run({tensor: self._imported.tensor(tensor) for tensor in tensors}, feeds)
        return dict(values)

    def _add_probes(self, tensors: Sequence[str]) -> None:
        with self._imported.graph.as_default():
            for name in tensors:
                tensor = self._imported.tensor(name)
                # Not tf.shape: it becomes a constant if the shape is known, and nothing would run.
                self._shapes[name] = tensorflow.raw_ops.Shape(
                    input=tensor, out_type=tensorflow.int64
                )

    def _fill(self, fills: Sequence[Fill]) -> None:
        for fill in fills:
            try:
                self._session.run(fill.operations, fill.feeds())
            except tensorflow.errors.OpError as error:
                raise ReferenceUnavailable(
                    "TensorFlow cannot put the checkpoint into the graph's variables: "
                    f"{_told(error)}"
                ) from error

    def _run(self, fetches: Any, feeds: Mapping[str, Any]) -> Any:
        feed_names = self._imported.feed_names
        named = {feed_names[name]: value for name, value in feeds.items() if name in feed_names}
        left_ms = int(1000 * (self._ends_at_s - time.monotonic()))
        # To TensorFlow, 0 is no limit at all.
        limit = _compat.RunOptions(timeout_in_ms=max(1, left_ms))
        try:
            with limited_memory():
                return self._session.run(fetches, named, options=limit)
        except tensorflow.errors.DeadlineExceededError as error:
            text = f"the reference run takes longer than {LONGEST_RUNS_S:g} s"
            raise RunFailed(text, is_final=True) from error
        except tensorflow.errors.OpError as error:
            raise RunFailed(_told(error), _is_final(error)) from error


def _is_final(error: Any) -> bool:
    if isinstance(error, _FINAL_ERRORS):
        return True
    return any(text in error.message for text in _FINAL_TEXTS)


def _told(error: Any) -> str:
    """Put TensorFlow's message into one line: the rest of it names source files of this machine."""
    first_line = _SOURCE_FILE.sub("", error.message.strip().split("\n", 1)[0].strip())
    found = _NODE_IN_MESSAGE.search(error.message)
    if found is None:
        return str(first_line)
    operation = f" (op {error.op.type})" if error.op is not None else ""
    return f"node '{found.group(1)}'{operation}: {first_line}"
