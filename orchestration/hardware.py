"""The machine that a result was made on: floating point may differ between kinds of processors."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from orchestration.processor import read_processor


def hardware_record(device: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a manifest tells of this machine.

    Args:
        device: what stage 2 says of the graphics cards that it sees; None = it did not run.
    """
    processor = read_processor()
    has_card = device is not None and device.get("cuda") is True
    return {
        "machine": platform.machine(),
        "cpu_model": processor.model,
        "cpu_features": None if processor.flags is None else sorted(processor.flags),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": {key: device.get(key) for key in ("name", "count")} if device and has_card else None,
    }
