"""Whether a processor can run TensorFlow 1.15."""

from __future__ import annotations

from pathlib import Path

_MACHINES = ("x86_64", "AMD64")


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
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return None
