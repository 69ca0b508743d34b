"""The memory of this process: how seldom it is tidied, and the most that it has held."""

from __future__ import annotations

import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


_OBJECTS_BEFORE_A_COLLECTION = 100_000


def collect_seldom() -> None:
    """Let the collector of reference cycles look rarely, and never at what exists now.

    A job makes hundreds of thousands of objects and drops them at its end; looking at all of them
    again and again took a quarter of the time of a checkpoint of 50,000 tensors.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_A_COLLECTION)


class CycleCollector:
    """Frees what a job leaves: modules that know each other, and their tensors.

    What a job has imported for the first time stays, and is not looked at again.
    """

    def __init__(self) -> None:
        self._known_modules = len(sys.modules)

    def collect(self) -> None:
        """Free the cycles of the job that has just ended."""
        gc.collect()
        if len(sys.modules) > self._known_modules:
            gc.freeze()
        self._known_modules = len(sys.modules)


def reset_peak() -> None:
    """Begin to count anew, where the system allows it (Linux).

    A worker does many jobs; without this, a small one would be told the peak of a large one.
    """
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def peak_bytes() -> int:
    """Return the peak of the resident memory."""
    return _status_bytes("VmHWM:")


def resident_bytes() -> int:
    """Return the resident memory of now."""
    return _status_bytes("VmRSS:")


def _status_bytes(field: str) -> int:
    """Return a size that Linux tells of this program alone.

    Elsewhere the peak stands for it: ``getrusage`` counts what the process held before it became
    this program, too.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
