"""What the tables of a batch say is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.batch_report import growth, render, times_faster
from benchmarks.batch_runs import kind_of, pieces, sample_of, single_arguments
from benchmarks.figures import MIB

WITH, WITHOUT = "with proof", "without proof"


def results(**changes: Any) -> dict[str, Any]:
    many = {
        "items": 1000,
        "recycle_after": 200,
        "wall_s": 500.0,
        "peaks_bytes": [400 * MIB, 500 * MIB, 600 * MIB, 520 * MIB],
        "restart_s": 4.5,
        "status_s": 1.25,
    }
    return {
        "machine": {"processor": "Test processor", "cores": 3, "memory_bytes": 7 * MIB},
        "batch": {
            WITH: {"items": 50, "wall_s": 30.0, "cpu_s": 45.0},
            WITHOUT: {"items": 50, "wall_s": 15.0, "cpu_s": 20.0},
        },
        "single": {
            WITH: {"wall_s": [2.0, 4.0], "cpu_s": [3.0, 5.0]},
            WITHOUT: {"wall_s": [1.5, 2.5], "cpu_s": [2.0, 3.0]},
        },
        "many": [many],
        "starts": {"local": {"root": [1.0, 9.0, 2.0]}, "podman": {"root": [3.0], "user": [4.0]}},
        **changes,
    }


def test_a_batch_is_set_against_the_mean_single_command() -> None:
    # 30 s / 50 items = 0.6 s, and (2 + 4) / 2 = 3 s for one command.
    assert times_faster(results(), WITH) == pytest.approx(5.0)
    assert times_faster(results(), WITHOUT) == pytest.approx(2.0 / 0.3)


def test_growth_leaves_the_start_out() -> None:
    assert growth(results()["many"][0]) == pytest.approx(520 / 500)


@pytest.mark.parametrize(
    "line",
    [
        "| with proof | 50 | 30 | 100 | 0.90 | 3.00 | 150 (from 2) | 5.0 |",
        "| 1,000 items, a new worker after 200 | 400 | 500 | 600 | 520 | 1.04 |",
        "| local | 2.00 | - |",
        "| podman | 3.00 | 4.00 |",
        "| with proof: at least so many times the single command's throughput | 5.0 | 4 | met |",
        "| without proof: at least so many times the single command's throughput | 6.7 | 8 |"
        " **missed** |",
        "| restart with all 1,000 done | 4.50 s | 5 s | met |",
        "| `--status` of 1,000 | 1.25 s | 1 s | **missed** |",
    ],
)
def test_tables(line: str) -> None:
    assert line in render(results()).splitlines()


@pytest.mark.parametrize("part", ["batch", "many", "starts"])
def test_what_was_not_measured_has_no_table(part: str) -> None:
    some = {name: value for name, value in results().items() if name != part}
    assert 0 < len(render(some)) < len(render(results()))


def test_results_are_plain_json() -> None:
    assert render(json.loads(json.dumps(results()))) == render(results())


def test_each_piece_of_a_run_has_its_own_peak() -> None:
    samples = [(0.0, 5), (1.0, 7), (2.5, 6), (3.9, 9), (4.0, 1)]
    assert pieces(samples, 4) == [5, 7, 6, 9]


ROWS = (
    {"checkpoint": "checkpoints/c,d/unet-01", "model": "unet", "model_arg": "", "map": ""},
    {"checkpoint": "checkpoints/-i/unet-04", "model": "unet", "model_arg": "", "map": ""},
    {
        "checkpoint": "checkpoints/sequence-00/model.h5",
        "model": "nets.py:Sequence",
        "model_arg": '{"size": 5, "name": "a"}',
        "map": "some.csv",
    },
    {"checkpoint": "bad/pipe/graph.pb", "model": "unet", "model_arg": "", "map": ""},
)


def test_a_sample_has_some_of_each_kind_and_nothing_bad() -> None:
    assert [kind_of(row) for row in ROWS[:3]] == ["unet", "unet", "sequence"]
    assert list(sample_of(ROWS, 1)) == [ROWS[0], ROWS[2]]


def test_a_row_as_the_single_command() -> None:
    words = single_arguments(Path("/f"), ROWS[2], Path("/o"), prove=False)
    assert words == [
        *("convert", Path("/f/checkpoints/sequence-00/model.h5"), "--out", Path("/o")),
        *("--runtime", "local", "--quiet", "--no-prove"),
        *("--model", Path("/f/nets.py:Sequence")),
        *("--model-arg", "size=5", "--model-arg", 'name="a"'),
        *("--map", Path("/f/some.csv")),
    ]
