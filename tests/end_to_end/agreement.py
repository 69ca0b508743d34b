"""Runs results and reads records for tests whose own interpreter has neither numpy nor torch.

Run by the environment with torch. Arrays travel as .npz files, by their tensors' names:

    python agreement.py apply RESULT TENSOR INPUTS OUTPUTS   a converted model, on fresh images
    python agreement.py reference EXPORT INPUTS OUTPUTS      what stage 1 recorded
    python agreement.py variables EXPORT OUTPUTS             what stage 1 exported
    python agreement.py stored ITEM INPUTS OUTPUTS           what a collected checkpoint came with
    python agreement.py compare ONE OTHER                    the largest difference
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# For sizes that the graph leaves open; even often enough for every pooling, and not equal.
BATCH, HEIGHT, WIDTH = 2, 60, 68


def apply(result: str, tensor: str, inputs: str, outputs: str) -> None:
    """Draw images for the model of a result folder, run it, and call its answer `tensor`."""
    import torch

    from stage_load import load_model

    [image] = json.loads(Path(result, "config.json").read_bytes())["inputs"]
    shape = [
        size or default
        for size, default in zip(image["tf_shape"], (BATCH, HEIGHT, WIDTH, None), strict=False)
    ]
    drawn = np.random.default_rng(5).standard_normal(shape, np.float32)
    given = torch.from_numpy(drawn)
    if image["torch_axes"] is not None:
        given = given.permute(["NHWC".index(axis) for axis in image["torch_axes"]])
    with torch.no_grad():
        answer = load_model(result)(given)
    np.savez(inputs, **{image["tensor"]: drawn})
    np.savez(outputs, **{tensor: answer.permute(0, 2, 3, 1).numpy()})


def variables(export: str, outputs: str) -> None:
    """Take all variables out of an export."""
    from stage_load.safetensors_reader import SafetensorsReader

    with SafetensorsReader(Path(export, "variables.safetensors")) as reader:
        np.savez(outputs, **{name: reader.read(name) for name in reader.entries})


def reference(export: str, inputs: str, outputs: str) -> None:
    """Take inputs and outputs out of the record of an export."""
    from stage_load.safetensors_reader import SafetensorsReader

    record = json.loads(Path(export, "graph.json").read_bytes())["reference"]
    with SafetensorsReader(Path(export, "reference.safetensors")) as reader:
        for file, names in (
            (inputs, [feed["tensor"] for feed in record["feeds"]]),
            (outputs, record["outputs"]),
        ):
            np.savez(file, **{name: reader.read(name) for name in names})


def stored(item: str, inputs: str, outputs: str) -> None:
    """Take inputs and outputs out of the files that lie beside a collected checkpoint."""
    record = json.loads(Path(item, "io.json").read_bytes())

    def arrays(entries: dict[str, Any]) -> dict[str, Any]:
        return {
            entry.get("tensor", name): np.load(Path(item, entry["file"]))
            for name, entry in entries.items()
        }

    np.savez(inputs, **arrays(record["inputs"]))
    np.savez(outputs, **arrays(record["outputs"]))


def compare(one: str, other: str) -> None:
    """Write the largest difference between two files, relative to each array's scale."""
    worst = 0.0
    with np.load(one) as left, np.load(other) as right:
        assert set(left) == set(right)
        for name in left:
            assert left[name].shape == right[name].shape, (left[name].shape, right[name].shape)
            scale = np.abs(right[name]).max()
            assert np.isfinite(left[name]).all()
            assert scale > 0
            worst = max(worst, float(np.abs(left[name] - right[name]).max() / scale))
    sys.stdout.write(str(worst))


if __name__ == "__main__":
    commands = (apply, variables, reference, stored, compare)
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
