"""How many threads compute.

A sum that is split among threads rounds by their number. That number must not follow the machine's
cores, or equal input would not give equal reports.
"""

from __future__ import annotations

import os

THREADS = 8
# Read when the libraries are loaded. Waiting threads sleep: as they are as many on a machine of few
# cores, spinning would cost several times the work itself. numpy's dot products are small. No
# library may take fewer threads because others are at work.
_LIBRARY_SETTINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
    "OPENBLAS_NUM_THREADS": "1",
}


def settle_libraries() -> None:
    """Set numpy's and torch's libraries up; before either is imported."""
    os.environ.update(_LIBRARY_SETTINGS)


def settle_torch() -> None:
    """Let torch compute with ``THREADS`` threads, whatever OMP_NUM_THREADS says."""
    import torch

    torch.set_num_threads(THREADS)
