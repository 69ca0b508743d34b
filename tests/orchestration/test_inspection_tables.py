"""The tables that `inspect` prints."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

from orchestration.inspection_tables import print_inspection, shape_text
from orchestration.printing import size_text

KERNEL = {
    "name": "conv/kernel",
    "dtype": "float32",
    "shape": [3, 5, 7, 11],
    "size_bytes": 4620,
    "source_axes": "HWIO",
    "op_kind": "conv2d",
    "role": "kernel",
    "evidence": "graph",
    "order": 0,
    "reason": None,
}
UNUSED = {
    **KERNEL,
    "name": "a_first_by_name",
    "shape": [],
    "size_bytes": 4,
    "source_axes": None,
    "op_kind": None,
    "role": None,
    "evidence": None,
    "order": None,
    "reason": "not read by the inference graph",
}
SLOT = {"category": "optimizer_slot", "name": "conv/kernel/Adam", "size_bytes": 4620, "reason": "r"}
INSPECTION: dict[str, Any] = {
    "checkpoint": {"prefix": "model.ckpt-7", "step": 7},
    "source": {"checkpoint_format": "V2", "graph": "meta", "graph_reason": None},
    "totals": {
        "variables": {"tensors": 2, "elements": 1156, "size_bytes": 4624},
        "skipped": {"tensors": 2, "elements": 2310, "size_bytes": 9240},
    },
    "variables": [UNUSED, KERNEL],
    "skipped": [SLOT, {**SLOT, "name": "conv/kernel/Adam_1"}],
    "candidates": {
        "inputs": [
            {"tensor": "y:0", "dtype": "int32", "shape": None, "chosen": False, "reason": "labels"},
            {
                "tensor": "x:0",
                "dtype": "float32",
                "shape": [None, 64, 48, 3],
                "chosen": True,
                "reason": "[read] first",
            },
        ],
        "outputs": [],
    },
    "operations": [{"op": "Conv2D", "count": 3}, {"op": "Relu", "count": 2}],
    "switches": [{"tensor": "train:0", "value": False, "why": "a flag"}],
    "warnings": ["Careful."],
}


def printed(inspection: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    print_inspection(inspection, stream)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line.strip()]


def test_what_the_checkpoint_lacks_is_a_table_of_its_own():
    missing = {"variable": "head/kernel", "dtype": "float32", "shape": [7, None], "reason": "why"}
    lines = printed({**INSPECTION, "missing": [missing]})
    at = lines.index("Not in the checkpoint")
    assert lines[at + 1 : at + 3] == [
        "variable type shape because",
        "head/kernel float32 7 x ? why",
    ]


def test_everything_is_shown_in_the_order_of_the_forward_pass():
    assert printed(INSPECTION) == [
        "model.ckpt-7, step 7 (V2, with its graph)",
        "2 variables, 1,156 numbers, 4.62 kB; 2 tensors left out, 9.24 kB",
        "Variables",
        "name type shape size read by role",
        "conv/kernel float32 3 x 5 x 7 x 11 (HWIO) 4.62 kB conv2d kernel",
        "a_first_by_name float32 scalar 4 B - not read by the inference graph",
        "Left out",
        "category tensors size for example because",
        "optimizer_slot 2 9.24 kB conv/kernel/Adam r",
        "Inputs",
        "tensor type shape because",
        "* x:0 float32 ? x 64 x 48 x 3 [read] first",
        "y:0 int32 unknown labels",
        "Outputs",
        "tensor type shape because",
        "Operations: 3 Conv2D, 2 Relu",
        "Switch: train:0 = False (a flag)",
        "Warning: Careful.",
    ]


def test_without_a_graph_kinds_are_marked_as_guessed():
    bare = copy.deepcopy(INSPECTION)
    bare["source"].update(graph=None, graph_reason="no .meta file beside the checkpoint")
    bare["checkpoint"]["step"] = None
    bare["variables"] = [{**KERNEL, "evidence": "guessed"}]
    bare.update(skipped=[], operations=[], switches=[], warnings=[])
    lines = printed(bare)
    assert lines[0] == "model.ckpt-7 (V2, no graph: no .meta file beside the checkpoint)"
    assert "conv/kernel float32 3 x 5 x 7 x 11 (HWIO) 4.62 kB conv2d (guessed) kernel" in lines
    assert "Left out" not in lines


def test_long_names_are_not_cut_in_a_pipe():
    long = copy.deepcopy(INSPECTION)
    long["variables"][0]["name"] = "scope/" * 60 + "kernel"
    assert any("scope/" * 60 + "kernel" in line for line in printed(long))


@pytest.mark.parametrize(
    ("shape", "axes", "text"),
    [
        (None, None, "unknown"),
        ([], None, "scalar"),
        ([None, 3], None, "? x 3"),
        ([3, 4], "IO", "3 x 4 (IO)"),
    ],
)
def test_shapes(shape, axes, text):
    assert shape_text(shape, axes) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (52492, "52.5 kB"),
        (528e6, "528 MB"),
        (4.29e9, "4.29 GB"),
    ],
)
def test_sizes(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        pytest.param(
            {"option": "--signature", "chosen": "predict", "available": ["predict", "train"]},
            "--signature predict; others: train",
            id="several",
        ),
        pytest.param(
            {"option": "--tags", "chosen": "serve", "available": ["serve", ""]},
            "--tags serve; others: ''",
            id="one-without-a-name",
        ),
        pytest.param(
            {"option": "--tags", "chosen": "serve", "available": ["serve"]},
            "--tags serve",
            id="only-one",
        ),
        pytest.param(
            {"option": "--signature", "chosen": None, "available": []}, None, id="nothing-to-choose"
        ),
    ],
)
def test_what_else_could_be_chosen_is_told(choice, line):
    lines = printed({**INSPECTION, "choices": [choice]})
    assert [one for one in lines if one.startswith("--")] == ([] if line is None else [line])


@pytest.mark.parametrize(
    ("reader", "words"),
    [("pure", "(V2, with its graph, read without TensorFlow)"), ("tf", "(V2, with its graph)")],
)
def test_the_headline_tells_of_a_reading_without_tensorflow(reader, words):
    assert printed({**INSPECTION, "reader": reader})[0] == f"model.ckpt-7, step 7 {words}"
