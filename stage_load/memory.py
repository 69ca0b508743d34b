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


def free_cycles() -> None:
    """Free what the last job left: modules that know each other, and their tensors."""
    gc.collect()


def reset_peak() -> None:
    """Begin to count anew, where the system allows it (Linux).

    A worker does many jobs; without this, a small one would be told the peak of a large one.
    """
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def peak_bytes() -> int:
    """Return the peak of the resident memory.

    Linux tells it of this program alone (VmHWM); ``getrusage`` counts what the process held before
    it became this program, and is the fallback elsewhere.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
