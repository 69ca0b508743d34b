"""This machine's processor, and whether it can run TensorFlow 1.15."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MODEL = "model name"
# The second on ARM.
_FLAGS = ("flags", "Features")
_MACHINES = ("x86_64", "AMD64")


@dataclass(frozen=True)
class Processor:
    """What the system tells of the first processor.

    Attributes:
        model: its name; None where the system does not tell.
        flags: its features; None where the system does not tell.
    """

    model: str | None = None
    flags: frozenset[str] | None = None


def why_no_tensorflow(machine: str, flags: frozenset[str] | None) -> str | None:
    """Why TensorFlow 1.15.5 cannot run; None if nothing speaks against it.

    Its builds exist for x86-64 only and use AVX; so do containers of it.

    Args:
        machine: as `platform.machine`, or a container engine, says.
        flags: of the first processor, None where nothing tells.
    """
    if machine not in _MACHINES:
        return f"{machine}: TensorFlow 1.15.5 was built for x86_64 only"
    if flags is not None and "avx" not in flags:
        return "no AVX: TensorFlow 1.15.5 ends with SIGILL"
    return None


def read_cpu_flags() -> frozenset[str] | None:
    """Flags of this machine's first processor; None where the system does not tell."""
    return read_processor().flags


def read_processor(path: Path = _CPUINFO) -> Processor:
    """This machine's first processor, as the kernel tells it."""
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # The next processor begins after a blank line; there may be hundreds.
                if not line.strip():
                    break
                name, _, value = line.partition(":")
                found[name.strip()] = value.strip()
    except OSError:
        return Processor()
    flags = next((found[name] for name in _FLAGS if name in found), None)
    return Processor(found.get(_MODEL), None if flags is None else frozenset(flags.split()))
