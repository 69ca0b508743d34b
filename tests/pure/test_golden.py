"""The committed checkpoints leave without TensorFlow as they left with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONTRACT = Path(__file__).parents[1] / "contract"
NAMES = sorted(path.name for path in (CONTRACT / "golden").iterdir())


def read_graph(folder: Path) -> Any:
    return json.loads((folder / "graph.json").read_text("utf-8"))


def test_the_worker_says_that_it_has_no_tensorflow(run_worker: Any) -> None:
    (ready,) = run_worker([])
    assert (ready["event"], ready["stage"]) == ("ready", "extract")
    assert sorted(ready["versions"]) == ["numpy", "python"]


@pytest.mark.parametrize("name", NAMES)
def test_an_export_differs_only_in_what_was_not_run(
    name: str, tmp_path: Path, extract: Any
) -> None:
    event = extract(CONTRACT / "checkpoints" / name, tmp_path)
    assert event["event"] == "done", event
    assert "left_to_tensorflow" not in event["result"]
    golden = CONTRACT / "golden" / name
    variables = (tmp_path / "variables.safetensors").read_bytes()
    assert variables == (golden / "variables.safetensors").read_bytes()
    assert not (tmp_path / "reference.safetensors").exists()
    found, expected = read_graph(tmp_path), read_graph(golden)
    assert found["source"] == {**expected["source"], "reader": "pure", "tensorflow": None}
    assert found["reference"]["state"] == "absent"
    if expected["reference"]["state"] == "recorded":
        assert found["reference"]["reason"].startswith("not proven here")
    for graph in (found, expected):
        del graph["source"], graph["reference"]
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_an_inspection_needs_no_tensorflow(name: str, run_worker: Any) -> None:
    checkpoint = str(CONTRACT / "checkpoints" / name)
    event = run_worker([{"job": "1", "command": "inspect", "checkpoint": checkpoint}])[-1]
    assert event["event"] == "done", event
    expected = read_graph(CONTRACT / "golden" / name)
    shown = [entry["name"] for entry in event["result"]["inspection"]["variables"]]
    assert shown == [entry["name"] for entry in expected["variables"]]
