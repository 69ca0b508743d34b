"""Grouped convolutions: parts of one tensor, each convolved by itself, and joined again.

TensorFlow 1 has none of its own on the CPU. So the channels are cut with tf.split or slices, each
part meets a kernel of its own, and a concat along the channels puts the results side by side.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from stage_extract.graph.graphdef import Node, output_index
from stage_extract.graph.layers.convolution import window_attributes
from stage_extract.graph.layers.layer import ACTIVATIONS, Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.tiles import CONCATENATIONS

_CONVOLUTIONS = {"Conv2D": "HWIO", "Conv3D": "DHWIO"}
_KINDS = frozenset(("conv1d", "conv2d", "conv3d"))
_SLICE_OPS = frozenset(("Slice", "StridedSlice"))


class _Part(NamedTuple):
    """One of the equal parts into which a tensor is cut along one axis."""

    whole: str
    axis: int
    number: int
    parts: int
    node: str


def match_shared_kernel(forward: Forward, joined: Node) -> Optional[Layer]:
    """Match the concat of a convolution whose kernel [h, w, in / groups, out] is cut along out.

    Each branch convolves its part of the input with its part of the kernel, as in AlexNet.
    """
    branches = _branches(forward, joined)
    if branches is None:
        return None
    kernels = [_part(forward, node.inputs[1]) for node in branches]
    first = kernels[0]
    axes = _CONVOLUTIONS[branches[0].op]
    if first is None or not _are_all_in_order(kernels) or first.axis != len(axes) - 1:
        return None
    origin = forward.table.origin(first.whole)
    if origin is None or why_not_plain(origin) is not None or origin.reshaping:
        return None
    shape = list(forward.table.info[origin.variable].shape)
    attributes = window_attributes(forward, branches[0], shape[:-2])
    others = [window_attributes(forward, node, shape[:-2]) for node in branches[1:]]
    if isinstance(attributes, NoMatch) or any(other != attributes for other in others):
        return None
    data = [node.inputs[0] for node in branches]
    whole = _whole_input(forward, joined, data, attributes["data_format"])
    if whole is None or len(shape) != len(axes):
        return None
    output = f"{joined.name}:0"
    return Layer(
        kind=f"conv{len(axes) - 2}d",
        op=branches[0].name,
        variables={"kernel": origin.variable},
        axes={origin.variable: axes},
        input=whole,
        op_output=output,
        output=output,
        attributes={**attributes, "groups": len(branches)},
        nodes=frozenset(
            (joined.name, *(one.name for one in branches), *(one.node for one in kernels if one))
        ),
    )


def mark_groups(forward: Forward, layers: Sequence[Layer]) -> List[Layer]:
    """Say of convolutions with kernels of their own that together they make up a grouped one.

    They remain layers: a torch model may keep them apart as well.
    """
    by_output = {layer.output: layer for layer in layers if layer.kind in _KINDS}
    groups: Dict[str, Dict[str, Any]] = {}
    for joined in forward.order if len(by_output) > 1 else ():
        members = [by_output.get(one) for one in _joined_outputs(forward, joined)]
        known = [member for member in members if member is not None]
        if len(known) != len(members) or len({member.op for member in known}) < 2:
            continue
        data = [member.input or "" for member in known]
        whole = _whole_input(forward, joined, data, known[0].attributes["data_format"])
        if whole is not None and len({_form(forward, member) for member in known}) == 1:
            ends = {"input": whole, "output": f"{joined.name}:0"}
            for number, member in enumerate(known):
                groups[member.op] = {"index": number, "count": len(known), **ends}
    return [
        one._replace(attributes={**one.attributes, "group": groups[one.op]})
        if one.op in groups
        else one
        for one in layers
    ]


def _joined_outputs(forward: Forward, joined: Node) -> List[str]:
    """Give what a concat joins, an activation of each left out; nothing for another op."""
    found = []
    for tensor in _operands(joined):
        node = forward.graph.producer(tensor)
        is_activation = node is not None and node.op in ACTIVATIONS
        found.append(forward.operand(node, 0) if node is not None and is_activation else tensor)
    return found


def _form(forward: Forward, layer: Layer) -> str:
    """Give what all branches have in common."""
    shapes = {role: forward.table.info[name].shape for role, name in layer.variables.items()}
    return repr(
        (layer.kind, sorted(shapes.items()), sorted(layer.attributes.items()), layer.activation)
    )


def _operands(joined: Node) -> Sequence[str]:
    if joined.op not in CONCATENATIONS:
        return ()
    return joined.inputs[:-1] if joined.op == "ConcatV2" else joined.inputs[1:]


def _whole_input(
    forward: Forward, joined: Node, data: Sequence[str], data_format: str
) -> Optional[str]:
    """Give the tensor whose channels are shared out, if a concat puts all of them back in order.

    Args:
        joined: the concat.
        data: what each branch reads.
        data_format: of the branches.
    """
    parts = [_part(forward, tensor) for tensor in data]
    first = parts[0]
    channels = data_format.index("C")
    axis = forward.evaluator.scalar(joined.inputs[-1 if joined.op == "ConcatV2" else 0])
    if first is None or not isinstance(axis, int):
        return None
    along_channels = axis % len(data_format) == channels == first.axis
    return first.whole if along_channels and _are_all_in_order(parts) else None


def _branches(forward: Forward, joined: Node) -> Optional[List[Node]]:
    """Give the convolutions that a concat joins, None if it joins anything else."""
    found: List[Node] = []
    for tensor in _operands(joined):
        node = forward.graph.producer(tensor)
        if node is None or node.op not in _CONVOLUTIONS or len(node.inputs) != 2:
            return None
        if forward.sole_reader(f"{node.name}:0") is None or (found and found[0].op != node.op):
            return None
        found.append(node)
    return found if len({node.name for node in found}) == len(found) > 1 else None


def _are_all_in_order(parts: Sequence[Optional[_Part]]) -> bool:
    known = [part for part in parts if part is not None]
    return len({(part.whole, part.axis, part.parts) for part in known}) == 1 and [
        part.number for part in known
    ] == list(range(known[0].parts)) == list(range(len(parts)))


def _part(forward: Forward, tensor: str) -> Optional[_Part]:
    """Tell which part of what a tensor is, None if it is no part or the parts are not equal."""
    node = forward.graph.producer(tensor)
    if node is None:
        return None
    if node.op in ("Split", "SplitV"):
        return _part_of_split(forward, node, output_index(tensor))
    return _part_of_slice(forward, node) if node.op in _SLICE_OPS else None


def _part_of_split(forward: Forward, node: Node, number: int) -> Optional[_Part]:
    data, place = (1, 0) if node.op == "Split" else (0, 2)
    count, axis = node.attribute("num_split"), forward.evaluator.scalar(node.inputs[place])
    if node.op == "SplitV":
        sizes = forward.evaluator.vector(node.inputs[1])
        if sizes is None or len(set(sizes)) != 1:
            return None
    rank = forward.shapes.rank(node.inputs[data])
    if rank is None or not isinstance(axis, int) or not isinstance(count, int):
        return None
    return _Part(forward.operand(node, data), axis % rank, number, count, node.name)


def _part_of_slice(forward: Forward, node: Node) -> Optional[_Part]:
    """Read a slice along one axis, as tensor[:, :, :, a:b] is one."""
    shape, cut = forward.shapes.of(node.inputs[0]), forward.shapes.of(f"{node.name}:0")
    begins = forward.evaluator.vector(node.inputs[1])
    steps = forward.evaluator.vector(node.inputs[3]) if node.op == "StridedSlice" else [1]
    if shape is None or cut is None or not begins or len(shape) != len(cut):
        return None
    axes = [axis for axis, size in enumerate(shape) if cut[axis] != size]
    if len(axes) != 1 or set(steps or ()) != {1}:
        return None
    axis = axes[0]
    whole, size = shape[axis], cut[axis]
    if not whole or not size or whole % size:
        return None
    # An ellipsis stands for the axes before the last.
    place = len(begins) - 1 if axis == len(shape) - 1 else axis
    begin = 0 if (node.attribute("begin_mask") or 0) >> place & 1 else begins[place]
    if begin is None or begin % size:
        return None
    return _Part(forward.operand(node, 0), axis, begin // size, whole // size, node.name)
