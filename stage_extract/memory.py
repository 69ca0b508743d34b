"""The peak of this process's resident memory, per job (Linux)."""

from __future__ import annotations

_STATUS_PATH = "/proc/self/status"
_CLEAR_PATH = "/proc/self/clear_refs"
# "5" resets the peak to the present size (man 5 proc, /proc/pid/clear_refs).
_RESET_PEAK = "5"
_PEAK_FIELD = "VmHWM:"


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
