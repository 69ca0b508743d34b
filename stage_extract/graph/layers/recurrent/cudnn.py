"""CudnnLSTM and CudnnGRU of tf.contrib: one op for a stack of layers in one or two directions.

The op reads one opaque buffer in an arrangement of cuDNN's own. What the checkpoint holds of it are
TensorFlow's kernels and biases, from which the restoring part of the graph makes the buffer again:
it tells which of them belong to which layer (tensorflow/contrib/cudnn_rnn/python/ops/
cudnn_rnn_ops.py, `_tf_canonical_to_cu_canonical`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Graph, Node, output_index
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.step import Step, cell_attributes
from stage_extract.graph.savers import READ_OPS
from stage_extract.graph.traverse import behind

CUDNN_OPS = frozenset(("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"))
_MAKING_OP = "CudnnRNNCanonicalToParams"
_ASSIGN_OPS = frozenset(("Assign", "AssignVariableOp"))
_SIZES = 3
_PARAMS = 3
_MAX_TRACE = 16


class _Mode(NamedTuple):
    """How cuDNN orders the parameters of one layer in one direction.

    Attributes:
        kind: "lstm" or "gru".
        gates: letters of its gates in cuDNN's order; there is a product with the input for each,
            and then one with the state.
        weights: role -> places among the products of what the role's variable is cut into.
        biases: role -> places among the biases.
        axes: role -> letters.
    """

    kind: str
    gates: str
    weights: Mapping[str, Sequence[int]]
    biases: Mapping[str, Sequence[int]]
    axes: Mapping[str, str]


_MODES: Mapping[str, _Mode] = MappingProxyType(
    {
        "lstm": _Mode(
            "lstm",
            "ifjo",
            {"kernel": range(8)},
            {"bias": range(8)},
            {"kernel": "(IR)(GU)", "bias": "(GU)"},
        ),
        "gru": _Mode(
            "gru",
            "ru",
            {
                "gate_kernel": (0, 1, 3, 4),
                "candidate_input_kernel": (2,),
                "candidate_recurrent_kernel": (5,),
            },
            {
                "gate_bias": (0, 1, 3, 4),
                "candidate_input_bias": (2,),
                "candidate_recurrent_bias": (5,),
            },
            {
                "gate_kernel": "(IR)(GU)",
                "gate_bias": "(GU)",
                "candidate_input_kernel": "IU",
                "candidate_input_bias": "U",
                "candidate_recurrent_kernel": "RU",
                "candidate_recurrent_bias": "U",
            },
        ),
    }
)


class _Piece(NamedTuple):
    """What a parameter is cut from: a tensor of the checkpoint, and which of its equal parts."""

    name: str
    part: Optional[int]


class CudnnLayer(NamedTuple):
    """One layer of the stack in one direction.

    Attributes:
        step: its variables; the sequence stands where a step's data does.
        is_first: it reads the op's input.
        has_output: the op's first output is its output.
        is_backward: it runs from the end of the sequence.
    """

    step: Step
    is_first: bool
    has_output: bool
    is_backward: bool


def match_cudnn(forward: Forward, node: Node) -> List[CudnnLayer]:
    """Match the op; gives no layers if the graph does not tell how its buffer is restored."""
    mode = _MODES.get(str(node.attribute("rnn_mode")))
    making = _making_op(forward, node)
    if mode is None or making is None:
        return []
    directions = 2 if node.attribute("direction") == "bidirectional" else 1
    pieces = _pieces(forward.saved, making)
    count = max(max(places) for places in mode.weights.values()) + 1
    # All products come first, then all biases: as many.
    layers, rest = divmod(len(pieces), 2 * count * directions)
    if rest:
        return []
    biases = layers * directions * count
    found = []
    for index in range(layers * directions):
        start, stop = index * count, (index + 1) * count
        own = pieces[start:stop], pieces[biases + start : biases + stop]
        step = _step(forward, node, mode, *own)
        if step is None:
            return []
        has_output = directions == 1 and index == layers - 1
        found.append(CudnnLayer(step, index < directions, has_output, index % directions == 1))
    return found


def _making_op(forward: Forward, node: Node) -> Optional[Node]:
    """Give the op that makes the buffer from what the checkpoint holds."""
    if len(node.inputs) <= _PARAMS:
        return None
    whole = forward.saved
    variable = whole.producer(behind(whole, node.operand(_PARAMS), READ_OPS))
    for use in whole.successors(variable.name) if variable is not None else ():
        if use.node.op in _ASSIGN_OPS and use.operand == 0 and len(use.node.inputs) > 1:
            making = whole.producer(use.node.operand(1))
            is_making = making is not None and making.op == _MAKING_OP
            if making is not None and is_making and _pieces(whole, making):
                return making
    return None


def _pieces(graph: Graph, making: Node) -> List[_Piece]:
    """Give what all parameters are cut from; none where the values are drawn, not restored."""
    found = [_piece(graph, tensor) for tensor in making.inputs[_SIZES:]]
    known = [piece for piece in found if piece is not None]
    return known if len(known) == len(found) else []


def _piece(graph: Graph, tensor: str) -> Optional[_Piece]:
    part: Optional[int] = None
    for _ in range(_MAX_TRACE):
        node = graph.producer(tensor)
        if node is None or not node.inputs:
            return None
        if node.op == "RestoreV2":
            names = graph.producer(node.operand(1))
            values = None if names is None else names.constant()
            place = output_index(tensor)
            if values is None or place >= values.size:
                return None
            return _Piece(values.reshape(-1)[place].decode("utf-8", "backslashreplace"), part)
        if node.op == "Split":
            part = output_index(tensor)
        elif node.op not in ("Identity", "Mul", "Reshape", "SplitV", "Transpose"):
            return None
        tensor = node.operand(1 if node.op == "Split" else 0)
    return None


def _step(
    forward: Forward,
    node: Node,
    mode: _Mode,
    weights: Sequence[_Piece],
    biases: Sequence[_Piece],
) -> Optional[Step]:
    variables: Dict[str, str] = {}
    for places, pieces in ((mode.weights, weights), (mode.biases, biases)):
        for role, own in places.items():
            names = {pieces[place].name for place in own}
            if len(names) != 1 or not names <= forward.table.info.keys():
                return None
            variables[role] = names.pop()
    order = _order(mode, weights)
    if order is None:
        return None
    return Step(
        kind=mode.kind,
        op=node.name,
        variables=variables,
        axes={variable: mode.axes[role] for role, variable in variables.items()},
        attributes=_attributes(forward, mode, variables, order),
        data=None,
        before={},
        after={},
        nodes=frozenset((node.name,)),
    )


def _order(mode: _Mode, weights: Sequence[_Piece]) -> Optional[str]:
    """Give the letters of the gates in the order in which TensorFlow's kernel holds them."""
    places: Dict[int, str] = {}
    for letter, piece in zip(mode.gates, weights):
        if piece.part is None:
            return None
        places[piece.part] = letter
    return "".join(places[part] for part in sorted(places))


def _attributes(
    forward: Forward, mode: _Mode, variables: Mapping[str, str], order: str
) -> Dict[str, Any]:
    is_lstm = mode.kind == "lstm"
    rows, columns = _shape(forward, variables["kernel" if is_lstm else "gate_kernel"])
    units = columns // len(order)
    known: Dict[str, Any] = {
        "cell": f"{mode.kind}_cudnn",
        "gate_order": order,
        "units": units,
        "input_size": rows - units,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }
    if is_lstm:
        return cell_attributes(**known, forget_bias=0.0, use_peephole=False)
    return cell_attributes(**known, reset_after=True)


def _shape(forward: Forward, variable: str) -> Tuple[int, int]:
    rows, columns = forward.table.info[variable].shape
    return rows, columns
