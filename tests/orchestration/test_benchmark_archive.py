"""What the tables of archives say is what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.archive import passes_s, render
from benchmarks.figures import MIB

MEGABYTE = 10**6


def results(wall_s: float, memory_bytes: int) -> dict[str, Any]:
    def run(wall_s: float, memory_bytes: int) -> dict[str, float]:
        return {"wall_s": wall_s, "cpu_s": 1.5, "peak_memory_bytes": memory_bytes}

    return {
        "machine": {"processor": "Test processor", "cores": 3, "memory_bytes": 7 * MIB},
        "bytes": {
            "result": 4000 * MEGABYTE,
            "payload": 6001 * MEGABYTE,
            "stream": 5002 * MEGABYTE,
        },
        "runs": {
            "archive, folder": run(wall_s, memory_bytes),
            "sha256": run(4.0, 20 * MEGABYTE),
            "sha512": run(6.0, 21 * MEGABYTE),
        },
    }


def test_both_passes_are_what_is_compared_with() -> None:
    assert passes_s(results(1.0, 1)) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("wall_s", "memory_bytes", "rows"),
    [
        pytest.param(
            20.0,
            299 * MEGABYTE,
            ["times both hash passes | 2.00 | 2 | met |", "memory | 299 MB | 300 MB | met |"],
            id="just-met",
        ),
        pytest.param(
            20.2,
            300 * MEGABYTE,
            ["| 2.02 | 2 | **missed** |", "| 300 MB | 300 MB | **missed** |"],
            id="missed",
        ),
    ],
)
def test_targets(wall_s: float, memory_bytes: int, rows: list[str]) -> None:
    shown = render(results(wall_s, memory_bytes))
    for row in rows:
        assert row in shown
    assert "A result of 4,000 MB; the bag holds 6,001 MB, as `.tar.zst` 5,002 MB." in shown
    # Plain hashing is no target.
    assert shown.partition("**Targets**")[2].count("archive, folder") == 2
    assert "sha256" not in shown.partition("**Targets**")[2]
