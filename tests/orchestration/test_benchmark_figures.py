"""What the tables say is what was measured: medians, largest peaks, and limits met or missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import (
    MIB,
    Figures,
    add_measurement,
    extrapolated_tutorial_s,
    item_figures,
    targets,
)
from benchmarks.items import ITEMS, select_items
from benchmarks.measure import Measurement
from benchmarks.report import BEGIN_MARK, END_MARK, insert_tables, render

IDLE = {"tensorflow": {"wall_s": [1.0, 1.2, 9.0]}, "torch": {"wall_s": [2.0]}}


def run(*wall_s: float, peak_mib: float = 100.0) -> dict[str, Any]:
    return {
        "wall_s": list(wall_s),
        "cpu_s": [value / 2 for value in wall_s],
        "peak_memory_bytes": [int(peak_mib * MIB)] * 2 + [int(peak_mib * MIB) - 1],
        "peak_anonymous_bytes": [0, 0],
    }


def results(name: str, runs: dict[str, Any], tensors: int = 40) -> dict[str, Any]:
    idle = {"tensorflow": run(1.0, 1.2, 9.0, peak_mib=200), "torch": run(2.0, peak_mib=300)}
    facts = {
        "tensors": tensors,
        "model_bytes": 500 * MIB,
        "largest_bytes": 30 * MIB,
        "file_bytes": 501 * MIB,
    }
    machine = {"processor": "Test processor", "cores": 3, "memory_bytes": 7 * MIB}
    return {"machine": machine, "idle": idle, "items": {name: {"facts": facts, "runs": runs}}}


def test_repeats_are_appended_and_the_outcome_is_kept() -> None:
    collected: dict[str, Any] = {}
    done = {"event": "done", "timings_s": {"plan": 1}, "result": {"verdict": "proven"}}
    add_measurement(collected, Measurement(1.23456, 0.5, 1000, 900))
    add_measurement(collected, Measurement(2.0, 0.7, 3000, 800, {"done": done}))
    assert collected == {
        "wall_s": [1.235, 2.0],
        "cpu_s": [0.5, 0.7],
        "peak_memory_bytes": [1000, 3000],
        "peak_anonymous_bytes": [900, 800],
        "timings_s": {"plan": 1},
        "outcome": "proven",
    }


def test_times_are_medians_and_memory_is_the_largest() -> None:
    figures = Figures("any", {}, {"a": run(5.0, 1.0, 2.0), "b": run(10.0, peak_mib=7)}, IDLE)
    assert figures.wall_s("a", "b") == 12.0
    assert figures.cpu_s("a") == 1.0
    assert figures.peak_bytes("b") == 7 * MIB
    assert figures.idle_s("tensorflow") == 1.2
    assert figures.has("a")
    assert not figures.has("a", "c")


@pytest.mark.parametrize(
    ("item", "runs", "expected"),
    [
        # 200 + 30 + 64 MiB.
        pytest.param(
            "demo-unet", {"stage 1": run(9.0, peak_mib=294)}, (294.0, 294.0, True), id="memory-1"
        ),
        pytest.param(
            "demo-unet", {"stage 1": run(9.0, peak_mib=295)}, (295.0, 294.0, False), id="too-much-1"
        ),
        # 300 + 500 + 30 + 64 MiB.
        pytest.param(
            "demo-unet", {"stage 2": run(9.0, peak_mib=894)}, (894.0, 894.0, True), id="memory-2"
        ),
        pytest.param(
            "demo-unet", {"stage 2": run(9.0, peak_mib=895)}, (895.0, 894.0, False), id="too-much-2"
        ),
        pytest.param(
            "demo-unet",
            {"pipeline": run(5.0, 7.0, 6.0), "tutorial 1": run(4.0), "tutorial 2": run(1.5)},
            (6.0, 5.5, False),
            id="slower-than-the-tutorial",
        ),
    ],
)
def test_target_of_every_item(
    item: str, runs: dict[str, Any], expected: tuple[float, float, bool]
) -> None:
    [target] = targets(results(item, runs))
    assert (target.measured, target.limit, target.is_met) == expected


def test_the_target_of_the_matcher() -> None:
    measured = {**results("other", {}), "matching": {"tensors": 2005, "wall_s": [9.0, 1.5, 1.0]}}
    [target] = targets(measured)
    assert (target.item, target.measured, target.limit) == ("2,005 tensors", 1.5, 2.0)


@pytest.mark.parametrize(
    ("item", "runs", "expected"),
    [
        pytest.param("vgg16", {"stage 1": run(2.1)}, [(0.9, 1.0, True)], id="vgg16"),
        pytest.param(
            "dense-4gb",
            {"stage 1": run(12.2), "cp": run(4.0), "sha256": run(3.0)},
            [(11.0, 9.0, False)],
            id="4-gb-is-1.5-cp-and-one-hash",
        ),
        # Beyond TensorFlow's 1.2 s for stage 1, beyond torch's 2.0 s for the whole.
        pytest.param(
            "tiny-50000",
            {"stage 1": run(7.1), "pipeline": run(9.0)},
            [(5.9, 6.0, True), (7.0, 6.0, False)],
            id="50000-tensors",
        ),
    ],
)
def test_time_targets(
    item: str, runs: dict[str, Any], expected: list[tuple[float, float, bool]]
) -> None:
    found = [target for target in targets(results(item, runs)) if target.unit == "s"]
    assert [target.is_met for target in found] == [met for *_, met in expected]
    assert [target.measured for target in found] == pytest.approx([row[0] for row in expected])
    assert [target.limit for target in found] == pytest.approx([row[1] for row in expected])


def test_extrapolation_is_quadratic_in_the_number_of_tensors() -> None:
    measured = results("tiny-2000", {"tutorial 1": run(386.0)}, tensors=2000)
    assert extrapolated_tutorial_s(measured, 50_000) == 386.0 * 625
    assert extrapolated_tutorial_s(results("demo-unet", {"tutorial 1": run(3.0)}), 50_000) is None


def test_tables_show_missed_targets_and_runs_that_were_not_made() -> None:
    measured = results("tiny-50000", {"stage 1": run(7.5, peak_mib=20), "cp": run(0.01)})
    text = render(measured)
    assert "| stage 1 beyond the import: 6 s (tiny-50000) | 6.30 s | 6.00 s | **missed** |" in text
    assert "| tiny-50000 | - | - | - | 7.50 | - | 0.01 | - | - | 1 |" in text
    assert "Test processor, 3 cores" in text
    assert item_figures(measured)[0].name == "tiny-50000"


def test_tables_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"before\n{BEGIN_MARK}\nold\n{END_MARK}\nafter\n")
    measured = results("vgg16", {"stage 1": run(2.1)})
    insert_tables(document, measured)
    insert_tables(document, measured)
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN_MARK}\n")
    assert text.endswith(f"{END_MARK}\nafter\n")
    assert "old" not in text
    assert text.count(render(measured)) == 1


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("text")
    with pytest.raises(ValueError, match="once each"):
        insert_tables(document, results("vgg16", {}))
    assert document.read_text() == "text"


def test_items_are_selected_by_name_or_all_or_the_quick_ones() -> None:
    assert select_items([], quick=False) == ITEMS
    assert [item.name for item in select_items([], quick=True)] == ["demo-unet", "unet-34mb"]
    assert [item.name for item in select_items(["vgg16"], quick=True)] == ["vgg16"]
    with pytest.raises(ValueError, match=r"vgg17(.|\n)*vgg16"):
        select_items(["vgg17"], quick=False)
