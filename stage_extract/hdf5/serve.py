"""The process that reads one HDF5 file for `process.HdfProcess`: HDF5 crashes on some damaged ones.

`python -m stage_extract.hdf5.serve PATH` writes one line of JSON, what Keras put into the file. For
each line that comes in, an array's path, it writes the array's bytes: before each piece a line with
its size, and a line without one behind the last. An error takes the place of any such line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import closing
from typing import Any, BinaryIO, Dict

from stage_extract.errors import ExtractError
from stage_extract.hdf5.file import HdfFile
from stage_extract.hdf5.layout import read_layout
from stage_extract.hdf5.pieces import dataset_pieces

# Far more than reading takes; a loop without an end must not take a job with it.
_PROCESSOR_S = 20
_BYTES_EACH_S = 50 * 10**6
_MEMORY_BYTES = 4 * 2**30


def _limit_resources(path: str) -> None:
    size_bytes = os.path.getsize(path) if os.path.exists(path) else 0
    seconds = _PROCESSOR_S + size_bytes // _BYTES_EACH_S
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(stream: BinaryIO, **values: Any) -> None:
    stream.write(json.dumps(values).encode() + b"\n")
    stream.flush()


def _described(error: ExtractError) -> Dict[str, str]:
    return {
        "class": type(error).__name__,
        "happened": error.happened,
        "expected": error.expected,
        "remedy": error.remedy,
    }


def _serve(path: str, requests: BinaryIO, answers: BinaryIO) -> None:
    try:
        with closing(HdfFile(path)) as file:
            _say(answers, layout=read_layout(file)._asdict())
            for request in requests:
                for piece in dataset_pieces(file, json.loads(request)):
                    _say(answers, size_bytes=len(piece))
                    answers.write(piece)
                _say(answers)
    except ExtractError as error:
        _say(answers, error=_described(error))


if __name__ == "__main__":
    _limit_resources(sys.argv[1])
    _serve(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
