"""A frozen graph as text, and without shapes, leaves without TensorFlow."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

GRAPH = r"""
# Written by hand.
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: -1 } dim { size: 2 } } } } }
node { name: "w" op: "Const"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT
    tensor_shape { dim { size: 2 } dim { size: 3 } }
    tensor_content: "\000\000\200?\000\000\000@\000\000@@"
      "\000\000\200@\000\000\240@\000\000\300@" } } } }
node { name: "y" op: "MatMul" input: "x" input: "w"
  attr { key: "T" value { type: DT_FLOAT } }
  attr { key: "transpose_a" value { b: false } }
  attr { key: "transpose_b" value { b: false } } }
versions { producer: 134 }
"""


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    path = tmp_path / "frozen.pbtxt"
    path.write_text(GRAPH, "utf-8")
    return path


def test_its_weights_and_layers_are_found(frozen: Path, tmp_path: Path, run_worker: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    events = run_worker(
        [{"job": "1", "command": "extract", "checkpoint": str(frozen), "out": str(out)}]
    )
    assert events[-1]["event"] == "done", events[-1]
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    assert [layer["kind"] for layer in graph["layers"]] == ["dense"]
    assert [entry["tensor"] for entry in graph["inputs"]] == ["x:0"]
    assert [entry["tensor"] for entry in graph["outputs"]] == ["y:0"]
    data = (out / "variables.safetensors").read_bytes()
    assert struct.unpack("<6f", data[-24:]) == (1, 2, 3, 4, 5, 6)
    told = [event["message"] for event in events if event["event"] == "warning"]
    assert any("without the shapes of its tensors" in message for message in told), told
    left = events[-1]["result"]["left_to_tensorflow"]
    assert left == ["the shapes of a graph that was saved without them"]
