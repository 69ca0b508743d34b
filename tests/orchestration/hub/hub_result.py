"""A small result of a model, with a record that is right, to be shared."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.manifest import describe_files, file_names
from tests.orchestration.archive.made_result import ORCHESTRATE, Made, make_result

SOURCE = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n\n\ndef make(**given):\n    pass\n"
)
TRANSFER: Mapping[str, Any] = {
    "dtype": None,
    "frozen": [],
    "initialised": {"seed": 0, "tensors": []},
    "left_out": [],
    "adapted": {},
}
X = {"tensor": "x:0", "dtype": "float32", "tf_shape": [None, 7, 8, 3], "torch_axes": "NCHW"}
Y = {"tensor": "y|`:0", "dtype": "float32", "tf_shape": None, "torch_axes": None}
PARITY = {
    "tolerance": 1e-4,
    "compared_layers": 23,
    "compared_outputs": 2,
    "not_compared": 1,
    "worst": "logits:0",
    "max_abs": 5e-7,
    "max_rel": 1e-6,
}
IMAGE = {
    "stage": "load",
    "reference": "/home/ada/cache/load.sif",
    "id": f"sha256:{'1' * 64}",
    "base": {"name": "python:3.11-slim", "digest": f"sha256:{'2' * 64}"},
    "labels": {},
}


def config(**changes: Any) -> dict[str, Any]:
    """What stage 2 writes as config.json, of a user's own model."""
    model = {"name": "net.py:Net", "config": {"width": 3}, "source": "net.py"}
    document = {
        "format": "tf1-to-torch",
        "version": 1,
        "model": model,
        "modules": {},
        "inputs": [X],
        "outputs": [Y],
        "verdict": "proven",
        "transfer": dict(TRANSFER),
    }
    for name, value in changes.items():
        known = document["transfer"] if name in TRANSFER else document
        known[name] = value
    return document


def export(source: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `orchestrate.py export` to its end."""
    given = ("export", source, "--to", "huggingface", "--out", out, *arguments)
    command = [*ORCHESTRATE, *map(os.fspath, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make_shareable(folder: Path, document: Mapping[str, Any] | None = None, **changes: Any) -> Made:
    """Write a result whose record tells what a real one does.

    Args:
        folder: where.
        document: config.json; None = that of a user's own model.
        changes: dotted path in the manifest, with "__" for the dot -> value.
    """
    made = make_result(folder)
    result = made.result
    (result / "config.json").write_text(
        json.dumps(config() if document is None else document), encoding="utf-8"
    )
    (result / "model_source").mkdir()
    (result / "model_source" / "net.py").write_text(SOURCE, encoding="utf-8")
    (result / "report.json").write_text("{}", encoding="ascii")
    manifest = json.loads((result / "manifest.json").read_bytes())
    (result / "manifest.json").unlink()
    manifest["files"] = describe_files(result, file_names(result))
    outcome = {"reason": "2 outputs and 23 layers compared", "parity": PARITY, "warnings": []}
    outcome["verdict"] = "proven"
    manifest["load"]["result"] = {**outcome, "tensors": 12, "parameters": 73708}
    manifest["extract"]["result"] = {"skipped": 95, "checkpoint": {"step": 1000}}
    for path, value in changes.items():
        place = manifest
        *parents, last = path.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    (result / "manifest.json").write_text(json.dumps(manifest), encoding="ascii")
    return made
