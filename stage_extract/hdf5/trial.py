"""Reads a file once in a process of its own: HDF5 crashes, or never ends, on some damaged ones.

`python -m stage_extract.hdf5.trial PATH` ends normally whatever Python says of the file: who reads
it next meets the same error.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import closing

from stage_extract.errors import CorruptIndex, ExtractError
from stage_extract.hdf5.file import HdfFile
from stage_extract.hdf5.layout import read_layout
from stage_extract.hdf5.pieces import dataset_pieces

# Far more than reading takes; a loop without an end must not take a job with it.
_PROCESSOR_S = 20
_BYTES_EACH_S = 50 * 10**6
_MEMORY_BYTES = 4 * 2**30


def try_to_read(path: str) -> None:
    """Let another process read the whole file.

    Raises:
        CorruptIndex: that process did not survive it.
    """
    package_folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ended = subprocess.run(
        [sys.executable, "-m", __name__, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": package_folder},
    )
    if ended.returncode < 0:
        raise CorruptIndex(
            f"HDF5 does not survive reading {path!r} ({signal.Signals(-ended.returncode).name}).",
            "Expected a whole HDF5 file.",
            "Copy or download it again.",
        )


def _main(path: str) -> None:
    seconds = _PROCESSOR_S + os.path.getsize(path) // _BYTES_EACH_S
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with closing(HdfFile(path)) as file:
        for weight in read_layout(file).weights:
            if weight.dtype != "string":
                for _ in dataset_pieces(file, weight.path):
                    pass


if __name__ == "__main__":
    try:
        _main(sys.argv[1])
    except (ExtractError, OSError, MemoryError) as told_by_the_next_reader:
        sys.exit(type(told_by_the_next_reader).__name__)
