"""This process's resident memory: its peak per job, and giving back what is free (Linux, glibc)."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import contextmanager
from typing import Iterator

_STATUS_PATH = "/proc/self/status"
_CLEAR_PATH = "/proc/self/clear_refs"
# "5" resets the peak to the present size (man 5 proc, /proc/pid/clear_refs).
_RESET_PEAK = "5"
_PEAK_FIELD = "VmHWM:"
_RESIDENT_FIELD = "VmRSS:"
# What counts against RLIMIT_DATA: private memory that can be written.
_DATA_FIELD = "VmData:"
# <malloc.h>
_M_ARENA_MAX = -8
_HEAPS = 2
_MACHINE_PATH = "/proc/meminfo"
_AVAILABLE_FIELD = "MemAvailable:"


class CycleCollector:
    """Frees what a job leaves: TensorFlow's graphs are full of reference cycles.

    What the process or a job has imported for the first time stays, and is not looked at again:
    TensorFlow alone has ten times the objects of a job.
    """

    def __init__(self) -> None:
        self._known_modules = 0
        self._freeze_new_modules()

    def collect(self) -> None:
        """Free what the job that has just ended leaves."""
        give_back_free_memory()
        self._freeze_new_modules()

    def _freeze_new_modules(self) -> None:
        if len(sys.modules) > self._known_modules:
            gc.freeze()
        self._known_modules = len(sys.modules)


def give_back_free_memory() -> None:
    """Return to the system what TensorFlow has freed.

    Its graphs are full of reference cycles, and glibc keeps freed blocks for the threads that had
    them: a worker that goes on with the next checkpoint would hold the memory of several.
    """
    gc.collect()
    _call_glibc("malloc_trim", 0)


def share_free_memory() -> None:
    """Let all threads take from a few heaps; to be called before there are threads.

    Each session of TensorFlow has threads of its own. With a heap for each of them, a worker's
    memory grows for hundreds of checkpoints.
    """
    _call_glibc("mallopt", _M_ARENA_MAX, _HEAPS)


def _call_glibc(name: str, *arguments: int) -> None:
    # Other C libraries have neither function, nor these heaps.
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)


def reset_peak_memory() -> bool:
    """Start a new measurement; False where the kernel refuses, and the peak is the process's."""
    try:
        with open(_CLEAR_PATH, "w", encoding="ascii") as file:
            file.write(_RESET_PEAK)
    except OSError:
        return False
    return True


def peak_memory_bytes() -> int:
    """Give the largest resident size since the last reset, or since the process's start."""
    return _size_bytes(_STATUS_PATH, _PEAK_FIELD)


def resident_memory_bytes() -> int:
    """Give the resident size of now."""
    return _size_bytes(_STATUS_PATH, _RESIDENT_FIELD)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let an allocation fail that takes more than the machine has to give.

    TensorFlow reports a failed allocation; a process that has taken everything is killed, and
    others with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _size_bytes(_STATUS_PATH, _DATA_FIELD) + _size_bytes(_MACHINE_PATH, _AVAILABLE_FIELD)
    known = [one for one in (soft, hard, limit) if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _size_bytes(path: str, field: str) -> int:
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"{path} has no line {field}")
