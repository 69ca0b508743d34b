"""Real checkpoints for the tests of the extraction stage, written by TensorFlow 1.15 itself."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import warnings
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    cast,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    # TensorFlow 1.15's own, on NumPy's old names and on how its extension modules are imported.
    warnings.simplefilter("ignore")
    import tensorflow

import numpy
import pytest

from stage_extract.protocol import EventStream
from stage_extract.reference.determinism import settle_process
from stage_extract.storage import native
from stage_extract.storage.sstable import MAGIC
from stage_extract.worker import run_job_line

tensorflow.compat.v1.logging.set_verbosity(tensorflow.compat.v1.logging.ERROR)
settle_process()

SaveBundle = Callable[..., str]
NOBODY = 65534


def _save_bundle(
    prefix: Any, arrays: Mapping[str, Any], slices: Optional[Mapping[str, str]] = None
) -> str:
    """Save arrays with TensorFlow's SaveV2.

    Args:
        prefix: path of the checkpoint.
        arrays: by name; "name#1" is a further slice of "name".
        slices: TensorFlow's slice text ("5 4 0,2:-") by the same keys.
    """
    compat = tensorflow.compat.v1
    keys = list(arrays)
    with compat.Graph().as_default(), compat.Session() as session:
        holders = [compat.placeholder(arrays[key].dtype, arrays[key].shape) for key in keys]
        save = compat.raw_ops.SaveV2(
            prefix=os.fspath(prefix),
            tensor_names=[key.partition("#")[0] for key in keys],
            shape_and_slices=[(slices or {}).get(key, "") for key in keys],
            tensors=holders,
        )
        session.run(save, {holder: arrays[key] for holder, key in zip(holders, keys)})
    return os.fspath(prefix)


@pytest.fixture(scope="session")
def save_bundle() -> SaveBundle:
    """`save_bundle(prefix, arrays, slices)`: a V2 checkpoint without a graph; gives the prefix."""
    return _save_bundle


@pytest.fixture
def example_arrays() -> Dict[str, Any]:
    """A small network's variables, every size different."""
    random = numpy.random.RandomState(7)
    return {
        "net/conv/kernel": random.rand(3, 2, 5, 7).astype("float32"),
        "net/conv/bias": random.rand(7).astype("float32"),
        "net/dense/kernel": random.rand(11, 13).astype("float32"),
        "net/scale": numpy.float32(0.25),
        "net/nothing": numpy.zeros((0, 3), "float32"),
    }


@pytest.fixture
def checkpoint(tmp_path: Any, save_bundle: SaveBundle, example_arrays: Dict[str, Any]) -> str:
    """The prefix of a small V2 checkpoint without a graph, alone in its folder."""
    folder = tmp_path / "ckpt"
    folder.mkdir()
    return save_bundle(folder / "model.ckpt-20", example_arrays)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _block(entries: Iterable[Tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        b"\x00" + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries
    )
    return body + struct.pack("<II", 0, 1)


def _with_trailer(block: bytes, compression: int = 0) -> bytes:
    checked = block + bytes([compression])
    return checked + struct.pack("<I", native.mask_crc32c(native.extend_crc32c(0, checked)))


def _table_bytes(
    entries: List[Tuple[bytes, bytes]],
    compress: Optional[Callable[[bytes], bytes]] = None,
    block_handle: Optional[Tuple[int, int]] = None,
) -> bytes:
    """Write a table of one block, by hand, so that it can be wrong in any way."""
    block = _block(entries)
    stored = block if compress is None else compress(block)
    data = _with_trailer(stored, 0 if compress is None else 1)
    meta_offset = len(data)
    data += _with_trailer(_block([]))
    index_offset = len(data)
    offset, size = block_handle if block_handle is not None else (0, len(stored))
    index_block = _block([(b"\xff", _varint(offset) + _varint(size))])
    data += _with_trailer(index_block)
    footer = b"".join(
        _varint(value) for value in (meta_offset, len(_block([])), index_offset, len(index_block))
    )
    return data + footer.ljust(40, b"\x00") + MAGIC


@pytest.fixture(scope="session")
def table_bytes() -> Callable[..., bytes]:
    """`table_bytes(entries, compress, block_handle)`: a string table, right or wrong."""
    return _table_bytes


@contextlib.contextmanager
def _unprivileged() -> Iterator[None]:
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


@pytest.fixture
def unprivileged() -> Callable[[], ContextManager[None]]:
    """`with unprivileged():` runs a block without root's rights, to which modes mean nothing."""
    return _unprivileged


class Outcome(NamedTuple):
    """What one job left: its events but for the last, and the last, "done" or "failed"."""

    events: List[Dict[str, Any]]
    last: Dict[str, Any]

    @property
    def error(self) -> Dict[str, Any]:
        """The error object; fails if the job did not fail."""
        assert self.last["event"] == "failed", self.last
        return cast(Dict[str, Any], self.last["error"])

    @property
    def result(self) -> Dict[str, Any]:
        """The result object; fails, and shows the error, if the job failed."""
        assert self.last["event"] == "done", self.last
        return cast(Dict[str, Any], self.last["result"])

    @property
    def warnings(self) -> List[str]:
        """The texts of the warnings."""
        return [event["message"] for event in self.events if event["event"] == "warning"]


def _run_extraction(
    checkpoint: Any, out: Any = None, command: str = "extract", **options: Any
) -> Outcome:
    from stage_extract.export import run_job

    stream = io.StringIO()
    job = {
        "job": "j",
        "command": command,
        "checkpoint": os.fspath(checkpoint),
        "options": {"reference": False, **options},
    }
    if out is not None:
        job["out"] = os.fspath(out)
    run_job_line(json.dumps(job), EventStream(stream), run_job)
    *events, last = [json.loads(line) for line in stream.getvalue().splitlines()]
    return Outcome(events, last)


@pytest.fixture(scope="session")
def run_extraction() -> Callable[..., Outcome]:
    """`run_extraction(checkpoint, out, command, **options)`: one job, as the worker runs it."""
    return _run_extraction


@pytest.fixture
def out(tmp_path: Any) -> Any:
    """The empty output folder of a job."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
