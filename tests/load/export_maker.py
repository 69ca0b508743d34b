"""Makes export folders by hand, for tests: only what the contract says, no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stage_load.safetensors_header import write_header

Array = NDArray[Any]

FORMAT_NAMES = {
    "bool": "BOOL",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
}
METADATA = {"tf1_export": '{"format":"tf1-export","version":1}'}

DEFAULT_AXES = {
    ("conv1d", "kernel"): "WIO",
    ("conv3d", "kernel"): "DHWIO",
    ("depthwise_conv1d", "kernel"): "WCM",
    ("conv2d", "kernel"): "HWIO",
    ("conv2d_transpose", "kernel"): "HWOI",
    ("depthwise_conv2d", "kernel"): "HWCM",
    ("dense", "kernel"): "IO",
    ("embedding", "embedding"): "VD",
}


def write_safetensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write arrays sorted by name, with the metadata of an export."""
    names = sorted(tensors)
    layout = [(n, FORMAT_NAMES[tensors[n].dtype.name], tensors[n].shape) for n in names]
    start, _ = write_header(layout, METADATA)
    data = b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in names)
    path.write_bytes(start + data)


class ExportMaker:
    """Collects layers, variables and a reference, and writes the folder."""

    def __init__(self, *, evidence: str = "graph") -> None:
        self.evidence = evidence
        self.arrays: dict[str, Array] = {}
        self.variables: dict[str, dict[str, Any]] = {}
        self.layers: list[dict[str, Any]] = []
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.feeds: dict[str, Array] = {}
        self.reference_outputs: dict[str, Array] = {}
        self.layer_outputs: dict[int, Array] = {}
        self.skipped: list[dict[str, Any]] = []
        self.missing: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = []

    def variable(self, name: str, array: Array, **values: Any) -> None:
        """Add a variable that no layer reads."""
        self.arrays[name] = array
        self.variables[name] = {
            "name": name,
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "role": None,
            "op_kind": None,
            "source_axes": None,
            "layers": [],
            "order": None,
            "trainable": None,
            "partitions": None,
            "evidence": None,
            "reason": "not read by the inference graph",
            **values,
        }

    def layer(
        self,
        kind: str,
        name: str,
        arrays: Mapping[str, Array | str],
        *,
        output: Array | None = None,
        constants: Mapping[str, Any] | None = None,
        axes: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> int:
        """Add a layer; ``arrays`` maps a role to a new variable's values, or to a known name."""
        index = len(self.layers)
        variables = {}
        for role, value in arrays.items():
            variable = value if isinstance(value, str) else f"{name}/{role}"
            variables[role] = variable
            if not isinstance(value, str):
                source_axes = (axes or {}).get(role) or DEFAULT_AXES.get((kind, role))
                if source_axes is None and kind != "other":
                    source_axes = "C"
                self.variable(
                    variable,
                    value,
                    role=None if kind == "other" else role,
                    op_kind=kind,
                    source_axes=source_axes,
                    order=len(self.variables),
                    evidence=self.evidence,
                    reason=None,
                )
            self.variables[variable]["layers"].append(index)
        graph = self.evidence == "graph"
        self.layers.append(
            {
                "index": index,
                "kind": kind,
                "name": name,
                "op": f"{name}/op" if graph else None,
                "variables": variables,
                "constants": dict(constants or {}),
                "input": None,
                "op_output": f"{name}/op:0" if graph else None,
                "output": f"{name}/out{index}:0" if graph else None,
                "attributes": attributes,
                "activation": None,
                "evidence": self.evidence,
                "reason": None,
            }
        )
        if output is not None:
            self.layer_outputs[index] = output
        return index

    def input(self, tensor: str, array: Array, shape: Sequence[int | None] | None = None) -> None:
        """Add an input with the values of the reference run."""
        self.feeds[tensor] = array
        self.inputs.append(_endpoint(tensor, array, shape))

    def output(self, tensor: str, array: Array) -> None:
        """Add an output with the values of the reference run."""
        self.reference_outputs[tensor] = array
        self.outputs.append(_endpoint(tensor, array, None))

    def node(self, name: str, *inputs: str) -> None:
        """Add a node that reads the first outputs of others; ``"conv/op"`` is the layer's."""
        self.nodes.append(
            {
                "name": name,
                "op": "Placeholder" if not inputs else "MatMul",
                "inputs": [f"{source}:0" for source in inputs],
                "attributes": {},
                "shapes": None,
            }
        )

    def document(self) -> dict[str, Any]:
        """Return ``graph.json``."""
        graph = self.evidence == "graph"
        return {
            "format": "tf1-export",
            "version": 1,
            "source": {
                "reader": "tensorflow",
                "tensorflow": "1.15.5",
                "graph": "meta" if graph else None,
                "graph_reason": None if graph else "no .meta file beside the checkpoint",
                "checkpoint_format": "V2",
                "producer": None,
            },
            "variables": [self.variables[name] for name in sorted(self.variables)],
            "skipped": self.skipped,
            **({"missing": self.missing} if self.missing else {}),
            "layers": self.layers,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "switches": [],
            "candidates": {"inputs": [], "outputs": []},
            "rewrites": [],
            "nodes": self.nodes,
            "reference": self._reference(),
        }

    def write(self, folder: Path) -> Path:
        """Write the folder and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "graph.json").write_text(json.dumps(self.document(), sort_keys=True, indent=1))
        write_safetensors(folder / "variables.safetensors", self.arrays)
        if self.reference_outputs:
            tensors = {**self.feeds, **self.reference_outputs}
            tensors |= {self.layers[i]["output"]: a for i, a in self.layer_outputs.items()}
            write_safetensors(folder / "reference.safetensors", tensors)
        return folder

    def _reference(self) -> dict[str, Any]:
        if not self.reference_outputs:
            return {
                "state": "absent",
                "reason": "switched off",
                "seed": None,
                "feeds": [],
                "outputs": [],
                "layers": [],
                "deterministic": None,
                "size_bytes": 0,
            }
        return {
            "state": "recorded",
            "reason": None,
            "seed": 0,
            "feeds": [
                {"tensor": t, "dtype": a.dtype.name, "shape": list(a.shape), "how": "by hand"}
                for t, a in self.feeds.items()
            ],
            "outputs": list(self.reference_outputs),
            "layers": [
                {
                    "layer": layer["index"],
                    "tensor": layer["output"],
                    "recorded": layer["index"] in self.layer_outputs,
                    "reason": None if layer["index"] in self.layer_outputs else "not recorded here",
                }
                for layer in self.layers
            ],
            "deterministic": True,
            "size_bytes": 0,
        }


def _endpoint(tensor: str, array: Array, shape: Sequence[int | None] | None) -> dict[str, Any]:
    return {
        "tensor": tensor,
        "dtype": array.dtype.name,
        "shape": list(array.shape if shape is None else shape),
        "name": tensor.split(":")[0],
    }
