"""How long the matcher takes: a residual network of 2,005 tensors whose two sides differ.

Run in the load environment, it prints the seconds of each repeat as JSON. The torch side calls
everything differently, runs the shortcut of each block last instead of first, has a head more, and
lacks a block in the middle, so that nothing is told by equal sequences.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from stage_load.dataflow import Dataflow
from stage_load.export_view import ExportView
from stage_load.plan import make_plan
from stage_load.torch_units import TorchModel, TorchTensor, TorchUnit

BLOCKS = 100
WIDTH = 64
LEFT_OUT = 60
NORM_ROLES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class _Graph:
    """TensorFlow's side, as `graph.json` has it."""

    def __init__(self) -> None:
        self.variables: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = [_node("x", "Placeholder", [])]

    def layer(self, kind: str, name: str, shapes: dict[str, list[int]], before: str) -> str:
        """Add a layer that reads node `before`; return its node."""
        index = len(self.layers)
        axes = {"kernel": "HWIO"}
        self.variables += [
            {
                "name": f"{name}/{role}",
                "dtype": "float32",
                "shape": shape,
                "role": role,
                "op_kind": kind,
                "source_axes": axes.get(role, "C"),
                "layers": [index],
                "order": len(self.variables),
                "trainable": True,
                "evidence": "graph",
                "reason": None,
            }
            for role, shape in shapes.items()
        ]
        self.layers.append(
            {
                "index": index,
                "kind": kind,
                "name": name,
                "op": f"{name}/op",
                "variables": {role: f"{name}/{role}" for role in shapes},
                "constants": {},
                "input": f"{before}:0",
                "op_output": f"{name}/op:0",
                "output": f"{name}/op:0",
                "attributes": {"epsilon": 1e-3, "decay": 0.9, "data_format": "NHWC"},
                "activation": None,
                "evidence": "graph",
            }
        )
        self.nodes.append(_node(f"{name}/op", "Conv2D", [before]))
        return f"{name}/op"

    def conv_norm(self, name: str, size: int, before: str) -> str:
        """Add a convolution and its batch norm, five tensors."""
        kernel = [size, size, WIDTH, WIDTH]
        conv = self.layer("conv2d", name, {"kernel": kernel}, before)
        shapes = {role: [WIDTH] for role in NORM_ROLES}
        return self.layer("batch_norm", f"{name}/BatchNorm", shapes, conv)

    def add(self, name: str, *inputs: str) -> str:
        """Add an addition."""
        self.nodes.append(_node(name, "AddV2", list(inputs)))
        return name

    def view(self) -> ExportView:
        """Return it as stage 2 reads it."""
        document: dict[str, Any] = {
            "variables": sorted(self.variables, key=lambda entry: str(entry["name"])),
            "layers": self.layers,
            "nodes": self.nodes,
            "inputs": [{"tensor": "x:0", "dtype": "float32", "shape": [1, 8, 8, WIDTH]}],
            "source": {"graph": "meta"},
            **{key: [] for key in ("outputs", "skipped", "rewrites", "switches")},
            "reference": {"reason": "not run"},
        }
        return ExportView(document)


def _node(name: str, op: str, inputs: list[str]) -> dict[str, Any]:
    edges = [f"{before}:0" for before in inputs]
    return {"name": name, "op": op, "inputs": edges, "attributes": {}, "shapes": None}


def tensorflow_side() -> ExportView:
    """Return `BLOCKS` blocks of a shortcut (1x1) and a branch (1x1, 3x3, 1x1), and a stem."""
    graph = _Graph()
    x = graph.conv_norm("net/stem", 7, "x")
    for number in range(BLOCKS):
        scope = f"net/block{number // 8 + 1}/unit_{number % 8 + 1}"
        shortcut = graph.conv_norm(f"{scope}/shortcut", 1, x)
        y = graph.conv_norm(f"{scope}/conv1", 1, x)
        y = graph.conv_norm(f"{scope}/conv2", 3, y)
        x = graph.add(f"{scope}/add", shortcut, graph.conv_norm(f"{scope}/conv3", 1, y))
    return graph.view()


class _Modules:
    """torch's side, in the order in which it runs."""

    def __init__(self) -> None:
        self.units: list[TorchUnit] = []
        self.flow = Dataflow()

    def conv_norm(self, path: str, size: int, before: int) -> int:
        """Add a convolution and its batch norm; return what they return."""
        kernel = (WIDTH, WIDTH, size, size)
        conv = self._unit(f"{path}.0", "conv2d", {"weight": kernel}, before)
        tensors = dict.fromkeys(NORM_ROLES.values(), (WIDTH,))
        return self._unit(f"{path}.1", "batch_norm", tensors, conv)

    def _unit(
        self, path: str, kind: str, shapes: Mapping[str, tuple[int, ...]], before: int
    ) -> int:
        tensors = {
            name: TorchTensor(f"{path}.{name}", shape, name.startswith("running"))
            for name, shape in shapes.items()
        }
        self.units.append(TorchUnit(path, kind, tensors, 1))
        self.flow.reaches[path] = before
        return self.flow.unit(path)

    def model(self) -> TorchModel:
        """Return it as a trace would."""
        tensors = {t.name: t for unit in self.units for t in unit.tensors.values()}
        return TorchModel(tuple(self.units), tensors, {}, None, self.flow)


def torch_side() -> TorchModel:
    """Return the same network otherwise: see the module's text."""
    modules = _Modules()
    x = modules.conv_norm("entry", 7, modules.flow.network_input())
    for number in range(BLOCKS):
        if number == LEFT_OUT:
            continue
        y = modules.conv_norm(f"body.{number}.main.0", 1, x)
        y = modules.conv_norm(f"body.{number}.main.1", 3, y)
        y = modules.conv_norm(f"body.{number}.main.2", 1, y)
        shortcut = modules.conv_norm(f"body.{number}.skip", 1, x)
        x = modules.flow.mix((y, shortcut)) or x
    modules.conv_norm("head", 3, x)
    return modules.model()


def main(repeats: int) -> None:
    """Match, and print the seconds of each repeat."""
    export, model = tensorflow_side(), torch_side()
    taken_s = []
    for _ in range(repeats):
        begin_s = time.perf_counter()
        plan = make_plan(export, model, ())
        taken_s.append(round(time.perf_counter() - begin_s, 3))
    matched = sum(row.tf_name is not None for row in plan.rows)
    facts = {"tensors": len(export.variables), "matched": matched, "wall_s": taken_s}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(int(sys.argv[1]))
