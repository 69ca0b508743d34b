"""This process's resident memory: its peak per job, and giving back what is free (Linux, glibc)."""

from __future__ import annotations

import ctypes
import gc

_STATUS_PATH = "/proc/self/status"
_CLEAR_PATH = "/proc/self/clear_refs"
# "5" resets the peak to the present size (man 5 proc, /proc/pid/clear_refs).
_RESET_PEAK = "5"
_PEAK_FIELD = "VmHWM:"


def give_back_free_memory() -> None:
    """Return to the system what TensorFlow has freed.

    Its graphs are full of reference cycles, and glibc keeps freed blocks for the threads that had
    them: a worker that goes on with the next checkpoint would hold the memory of several.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


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
    with open(_STATUS_PATH, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(_PEAK_FIELD):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS_PATH} has no line {_PEAK_FIELD}")
