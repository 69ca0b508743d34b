"""An HDF5 file that another process reads: HDF5 crashes, or never ends, on some damaged ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Dict, Iterator

from stage_extract import errors
from stage_extract.errors import CorruptIndex, ExtractError
from stage_extract.files import check_plain_file
from stage_extract.hdf5.file import import_h5py
from stage_extract.hdf5.layout import KerasLayout, Weight

_SERVER = "stage_extract.hdf5.serve"
# Orders to go, as a scheduler gives them to every process of a job at once.
_ORDERS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)
_PACKAGE_FOLDER = Path(__file__).resolve().parents[2]


class HdfProcess:
    """Reads one file.

    Args:
        path: the file.

    Raises:
        UnsupportedFormat: there is no h5py, or the file holds what is not read.
        NotReadable: it is no plain file, or the operating system refuses.
        NotTensorFlow: Keras did not write it.
        TruncatedData, CorruptIndex: HDF5 cannot read it, or does not survive it.
    """

    def __init__(self, path: str) -> None:
        import_h5py(path)
        check_plain_file(path)
        self._path = path
        self._process = subprocess.Popen(
            [sys.executable, "-m", _SERVER, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.fspath(_PACKAGE_FOLDER)},
        )
        try:
            self.layout = _to_layout(self._answer()["layout"])
        except ExtractError:
            self.close()
            raise

    def pieces(self, path: str) -> Iterator[memoryview]:
        """Give the bytes of one array, little-endian and in row-major order, in pieces.

        Raises:
            CorruptTensor, CorruptIndex, TruncatedData, UnsupportedFormat: it cannot be read.
        """
        requests = self._pipe(self._process.stdin)
        try:
            requests.write(json.dumps(path).encode() + b"\n")
            requests.flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        answer = self._answer()
        while "size_bytes" in answer:
            piece = self._pipe(self._process.stdout).read(answer["size_bytes"])
            if len(piece) < answer["size_bytes"]:
                raise self._ended()
            yield memoryview(piece)
            answer = self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            self._pipe(pipe).close()

    def _answer(self) -> Dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line.endswith(b"\n"):
            raise self._ended()
        answer: Dict[str, Any] = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            kind = getattr(errors, told["class"])
            raise kind(told["happened"], told["expected"], told["remedy"])
        return answer

    def _ended(self) -> CorruptIndex:
        code = self._process.wait()
        if -code in _ORDERS:
            # No file is the cause. Whoever gave the order means this process as well, which has not
            # heard it yet; PID 1 of a container never would.
            os._exit(128 - code)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return CorruptIndex(
            f"HDF5 does not survive reading {self._path!r} ({how}).",
            "Expected a whole HDF5 file.",
            "Copy or download it again.",
        )

    def _pipe(self, pipe: Any) -> IO[bytes]:
        stream: IO[bytes] = pipe
        return stream


def _to_layout(values: Dict[str, Any]) -> KerasLayout:
    """Undo what JSON makes of a layout: tuples become lists."""
    weights = (Weight(*fields) for fields in values["weights"])
    values["weights"] = tuple(weight._replace(shape=tuple(weight.shape)) for weight in weights)
    return KerasLayout(**values)
