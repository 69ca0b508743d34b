"""What `inspect` shows."""

from __future__ import annotations

import json

from stage_extract.inspection import inspect
from stage_extract.reader import VariableInfo
from stage_extract.selecting.selection import Skipped
from tests.extract.graph import networks
from tests.extract.graph.graph_case import described

SLOT = Skipped(VariableInfo("d/kernel/Adam", "float32", (3, 5)), "optimizer_slot", "Adam slot")
TEXT = Skipped(VariableInfo("note", "string", ()), "string", "text")


def test_inspection_counts_and_sizes() -> None:
    found = inspect(
        {"prefix": "model.ckpt-7", "step": 7}, described(networks.autoencoder), [SLOT, TEXT]
    )
    assert found["checkpoint"] == {"prefix": "model.ckpt-7", "step": 7}
    # conv2d 3x3x2x5 + 5, decoded 3x3x2x5 + 2
    assert found["totals"]["variables"] == {"tensors": 4, "elements": 187, "size_bytes": 748}
    assert found["totals"]["skipped"] == {"tensors": 2, "elements": 16, "size_bytes": 60}
    sizes = {one["name"]: one["size_bytes"] for one in found["variables"] + found["skipped"]}
    assert sizes == {
        "conv2d/bias": 20,
        "conv2d/kernel": 360,
        "d/kernel/Adam": 60,
        "decoded/bias": 8,
        "decoded/kernel": 360,
        "note": None,
    }


def test_inspection_lists_ops_of_the_model_the_commonest_first() -> None:
    found = inspect({}, described(networks.autoencoder), [])
    counts = [(one["op"], one["count"]) for one in found["operations"]]
    assert counts[0] == ("Placeholder", 1) or counts[0][1] >= counts[1][1]
    assert dict(counts)["Conv2DBackpropInput"] == 1
    assert "ApplyAdam" not in dict(counts)


def test_inspection_is_json() -> None:
    found = inspect({"prefix": "p", "step": None}, described(networks.keras_model), [SLOT])
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["outputs"][0]["tensor"] == "dense/Softmax:0"
    assert [layer["kind"] for layer in again["layers"]][:2] == ["conv2d", "batch_norm"]
    assert {one["tensor"] for one in again["candidates"]["inputs"]} >= {"image:0"}
