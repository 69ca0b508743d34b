"""What a reference run has to do, read from the description of the graph."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy

from stage_extract.errors import EndpointNotFound
from stage_extract.graph.attributes import Shape
from stage_extract.graph.conditions import SWITCH_OPS
from stage_extract.graph.graphdef import MetaGraph, node_name, tensor_name
from stage_extract.graph.traverse import MERGE_OPS
from stage_extract.reference.result import ReferenceUnavailable


class Endpoint(NamedTuple):
    """One data input.

    Attributes:
        tensor: its name.
        dtype: numpy's name of its type.
        shape: its sizes as far as the graph states them; None for an unknown rank.
    """

    tensor: str
    dtype: str
    shape: Shape


class LayerTensor(NamedTuple):
    """A tensor of a layer that should be recorded: its output, or that of its main op."""

    layer: int
    tensor: str


@dataclass(frozen=True)
class ReferencePlan:
    """Inputs, switches and tensors of one reference run.

    Attributes:
        inputs: the data inputs, in forward order.
        switches: value of each tensor that tells training from inference, as an array.
        outputs: the model's outputs.
        layers: the layers' outputs in forward order, then the outputs of their main ops.
        overrides: complete input shapes given by the user, by tensor name.
        substitutions: tensor -> the tensor that inference has in its place: the output of a dropout
            whose rate is fixed in the graph, and its input; a batch's statistic, and its moving
            average.
        batch_norms: fused batch norm in training mode -> the moving mean and variance that it
            reads in inference.
        dropouts: those of the substitutions that leave a dropout out.
        branches: output of each Switch and Merge -> what it hands on in inference.
    """

    inputs: Sequence[Endpoint]
    switches: Mapping[str, Any]
    outputs: Sequence[str]
    layers: Sequence[LayerTensor]
    overrides: Mapping[str, Tuple[int, ...]]
    substitutions: Mapping[str, str]
    batch_norms: Mapping[str, Tuple[str, str]]
    dropouts: Sequence[str]
    branches: Mapping[str, str]

    @property
    def tensors(self) -> List[str]:
        """All tensors to compute, each once, the outputs first."""
        return list(dict.fromkeys([*self.outputs, *(layer.tensor for layer in self.layers)]))

    @property
    def feed_dtypes(self) -> Dict[str, str]:
        """Numpy's name of the type of everything that is fed."""
        dtypes = {tensor: str(value.dtype) for tensor, value in self.switches.items()}
        dtypes.update({given.tensor: given.dtype for given in self.inputs})
        return dtypes


def make_plan(
    meta: MetaGraph, description: Mapping[str, Any], input_shapes: Mapping[str, Sequence[int]]
) -> ReferencePlan:
    """Read the plan from graph.json's object.

    Args:
        meta: the graph, for the types of the switches.
        description: `inputs`, `outputs`, `switches`, `layers` and `rewrites` of graph.json.
        input_shapes: complete shapes from the user, by name of an input.

    Raises:
        ReferenceUnavailable: there is no input or no output.
        EndpointNotFound: the user gave a shape for something that is no input.
    """
    for kind in ("outputs", "inputs"):
        if not description[kind]:
            raise ReferenceUnavailable(
                f"no {kind} were found in the graph: name them with --{kind}"
            )
    for given in description["inputs"]:
        if given["dtype"] is None:
            raise ReferenceUnavailable(f"the graph does not tell the type of '{given['tensor']}'")
    inputs = [
        Endpoint(given["tensor"], given["dtype"], _shape(given["shape"]))
        for given in description["inputs"]
    ]
    rewrites = description.get("rewrites", ())
    dropouts, statistics = _dropouts(rewrites), _statistics(rewrites)
    return ReferencePlan(
        inputs=inputs,
        switches=_switches(meta, description["switches"]),
        outputs=[output["tensor"] for output in description["outputs"]],
        layers=_layer_tensors(description["layers"]),
        overrides=_overrides(inputs, input_shapes),
        substitutions={**dropouts, **statistics},
        batch_norms=_batch_norms(rewrites),
        dropouts=list(dropouts),
        branches=_branches(rewrites),
    )


def make_folding_plan(
    meta: MetaGraph, description: Mapping[str, Any], tensors: Sequence[str]
) -> ReferencePlan:
    """Plan a run that computes tensors from variables alone.

    Args:
        meta: the graph, for the types of the switches.
        description: `switches` and `rewrites` of graph.json.
        tensors: what is computed.
    """
    return ReferencePlan(
        inputs=(),
        switches=_switches(meta, description["switches"]),
        outputs=(),
        layers=[LayerTensor(0, tensor) for tensor in tensors],
        overrides={},
        substitutions={},
        batch_norms={},
        dropouts=(),
        branches=_branches(description.get("rewrites", ())),
    )


def _shape(sizes: Any) -> Shape:
    return None if sizes is None else tuple(sizes)


def _switches(meta: MetaGraph, switches: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    values = {}
    for switch in switches:
        node = meta.graph.get(node_name(switch["tensor"]))
        if node is None:
            raise ReferenceUnavailable(f"the graph has no switch '{switch['tensor']}'")
        value = numpy.asarray(switch["value"], dtype=node.attribute("dtype"))
        shape = node.attribute("shape") or []
        # A flag may be declared with one axis; its value is then one element long.
        values[switch["tensor"]] = value.reshape([1] * max(len(shape), value.ndim))
    return values


def _dropouts(rewrites: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    # Where the rate is fed, or the dropout lies in a branch (it then ends in a Merge), a switch
    # turns it off and the graph runs as it is.
    return {
        f"{rewrite['node']}:0": rewrite["becomes"]
        for rewrite in rewrites
        if rewrite.get("rate") is not None and rewrite["op"] != "Merge"
    }


def _statistics(rewrites: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    return {
        f"{rewrite['node']}:0": rewrite["becomes"]
        for rewrite in rewrites
        if len(rewrite.get("moving", ())) == 1
    }


def _batch_norms(rewrites: Sequence[Mapping[str, Any]]) -> Dict[str, Tuple[str, str]]:
    found = ((rewrite["node"], rewrite.get("moving", ())) for rewrite in rewrites)
    return {node: (moving[0], moving[1]) for node, moving in found if len(moving) == 2}


def _branches(rewrites: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    return {
        f"{rewrite['node']}:{output}": rewrite["becomes"]
        for rewrite in rewrites
        if rewrite["op"] in SWITCH_OPS | MERGE_OPS
        for output in range(2 if rewrite["op"] in SWITCH_OPS else 1)
    }


def _layer_tensors(layers: Sequence[Mapping[str, Any]]) -> List[LayerTensor]:
    found: Dict[LayerTensor, None] = {}
    for key in ("output", "op_output"):
        for layer in layers:
            if layer[key] is not None:
                found[LayerTensor(layer["index"], layer[key])] = None
    return list(found)


def _overrides(
    inputs: Sequence[Endpoint], shapes: Mapping[str, Sequence[int]]
) -> Dict[str, Tuple[int, ...]]:
    known = [given.tensor for given in inputs]
    overrides = {}
    for name, shape in shapes.items():
        tensor = tensor_name(name)
        if tensor not in known:
            nearest = difflib.get_close_matches(tensor, known, n=1) or known[:1]
            raise EndpointNotFound(
                f"--input-shape names '{name}', which is no input of this model.",
                f"Expected one of: {', '.join(known)}.",
                f"Write --input-shape {nearest[0]}=..., or make it an input with --inputs.",
            )
        overrides[tensor] = tuple(shape)
    return overrides
