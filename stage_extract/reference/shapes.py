"""Complete shapes for the inputs: what the graph and the user say, and candidates for the rest.

A network may accept only some sizes, and a graph does not always say which. So sizes are proposed
in the order of preference and TensorFlow is asked: two examples rather than one, height and width
that differ (so that a transposition shows), an image as small as the network takes well.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from stage_extract.graph.attributes import Shape
from stage_extract.graph.traverse import forward_order
from stage_extract.reference.graph_facts import GraphFacts
from stage_extract.reference.spatial import SpatialNetwork
from stage_extract.reference.usage import InputUse, WindowUse

BATCH_SIZES = (2, 1)
SEQUENCE_LENGTHS = (12, 16, 7, 32, 64, 128, 1)
# Tried as squares after those that the arithmetic proposes: usual sizes of published networks.
USUAL_SIZES = (32, 64, 28, 128, 224, 299, 256, 188, 227, 84, 96, 160, 321, 512, 572)
GOOD_SIZES_COUNT = 4
# A channel axis that nothing describes: one channel fits the most networks, then colours.
CHANNEL_COUNT = 3
# More batch sizes than these, baked into constants, are not tried.
BAKED_BATCH_COUNT = 3

# Operand that holds the sizes of a tensor with the batch in front.
_SHAPE_OPERANDS: Mapping[str, int] = {
    "Conv2DBackpropInput": 0,
    "Conv3DBackpropInputV2": 0,
    "Fill": 0,
    "Reshape": 1,
}

BATCH, HEIGHT, WIDTH, SEQUENCE = "batch", "height", "width", "sequence"


@dataclass(frozen=True)
class DataInput:
    """One data input, with what the graph says of it.

    Attributes:
        tensor: its name.
        dtype: numpy's name of its type.
        shape: its sizes as far as known; None for an unknown rank.
        use: what the graph does with it.
    """

    tensor: str
    dtype: str
    shape: Shape
    use: InputUse


@dataclass(frozen=True)
class Sizes:
    """One proposal for the sizes that the graph leaves open."""

    batch: int
    height: int
    width: int
    sequence: int

    def of(self, role: str) -> int:
        """Give the size of an axis by its role."""
        return int(getattr(self, role))


class _Axes:
    """The axes of one input: a known size, or the role of an open one."""

    def __init__(self, given: DataInput, override: Optional[Sequence[int]]) -> None:
        self.sizes: List[Any] = list(override) if override is not None else _axes(given)

    def roles(self) -> List[str]:
        """Give the roles of the open axes."""
        return [size for size in self.sizes if isinstance(size, str)]

    def filled(self, sizes: Sizes) -> Tuple[int, ...]:
        """Give a complete shape."""
        return tuple(sizes.of(size) if isinstance(size, str) else size for size in self.sizes)


def _axes(given: DataInput) -> List[Any]:
    window, use = given.use.window, given.use
    sizes: List[Any] = _known_sizes(given)
    roles = _window_roles(window) if window is not None else _usual_roles(len(sizes))
    for axis, size in enumerate(sizes):
        if size is not None:
            continue
        if axis in roles:
            sizes[axis] = roles[axis]
        elif axis == 0:
            sizes[axis] = BATCH
        elif axis == len(sizes) - 1 and use.features is not None:
            sizes[axis] = use.features
        else:
            sizes[axis] = SEQUENCE
    return sizes


def _known_sizes(given: DataInput) -> List[Any]:
    if given.shape is not None:
        return list(given.shape)
    if given.use.window is not None:
        return [None] * given.use.window.rank
    # Without any hint a vector of examples: it broadcasts against whatever it meets.
    return [None] * (2 if given.use.features or given.use.vocabulary else 1)


def _window_roles(window: WindowUse) -> Dict[Optional[int], Any]:
    roles: Dict[Optional[int], Any] = {window.batch: BATCH}
    roles[window.channel] = window.channels or CHANNEL_COUNT
    for at, axis in enumerate(window.spatial):
        roles[axis] = (HEIGHT, WIDTH, WIDTH)[at]
    return roles


def _usual_roles(rank: int) -> Dict[Optional[int], Any]:
    """Give the roles of an image's axes when nothing on its way tells them."""
    inner = {4: (HEIGHT, WIDTH), 5: (SEQUENCE, HEIGHT, WIDTH)}.get(rank, ())
    roles: Dict[Optional[int], Any] = dict(enumerate((BATCH, *inner, CHANNEL_COUNT)))
    return roles if inner else {}


def propose_shapes(
    facts: GraphFacts,
    inputs: Sequence[DataInput],
    outputs: Sequence[str],
    overrides: Mapping[str, Sequence[int]],
) -> Iterator[Dict[str, Tuple[int, ...]]]:
    """Propose complete shapes for all inputs, the preferred first, each proposal once.

    Args:
        facts: the part of the graph that runs.
        inputs: the data inputs.
        outputs: the tensors to compute, for the order of the forward pass.
        overrides: complete shapes from the user, by name.
    """
    axes = {given.tensor: _Axes(given, overrides.get(given.tensor)) for given in inputs}
    open_roles = {role for one in axes.values() for role in one.roles()}
    batches = _batch_sizes(facts, inputs) if BATCH in open_roles else [1]
    images = [name for name, one in axes.items() if {HEIGHT, WIDTH} & set(one.roles())]
    areas = _areas(facts, images, outputs) if images else [(1, 1)]
    sequences = SEQUENCE_LENGTHS if SEQUENCE in open_roles else (1,)
    seen = set()
    for sizes in _by_preference(batches, areas, sequences):
        shapes = {name: one.filled(sizes) for name, one in axes.items()}
        key = tuple(shapes.values())
        if key not in seen:
            seen.add(key)
            yield shapes


def _by_preference(
    batches: Sequence[int], areas: Sequence[Tuple[int, int]], sequences: Sequence[int]
) -> Iterator[Sizes]:
    """Combine the candidates so that each list is explored before any of them is exhausted."""
    combined = itertools.product(enumerate(batches), enumerate(areas), enumerate(sequences))
    ranked = sorted(combined, key=lambda choice: sum(rank for rank, _ in choice))
    for (_, batch), (_, (height, width)), (_, sequence) in ranked:
        yield Sizes(batch, height, width, sequence)


def _batch_sizes(facts: GraphFacts, inputs: Sequence[DataInput]) -> List[int]:
    """Give batch sizes: what the graph has baked into constants, then the usual ones."""
    stated = [given.shape[0] for given in inputs if given.shape and given.shape[0]]
    if stated and len(inputs) > 1:
        return list(dict.fromkeys([*stated, *BATCH_SIZES]))
    baked: Counter[int] = Counter()
    is_transposed = False
    for node in facts.graph:
        operand = _SHAPE_OPERANDS.get(node.op)
        sizes = facts.constant(node, operand) if operand is not None else None
        if sizes is not None and sizes.ndim == 1 and sizes.size > 1 and sizes[0] > 1:
            baked[int(sizes[0])] += 1
            is_transposed = is_transposed or node.op.startswith("Conv")
    common = [size for size, _ in sorted(baked.items(), key=lambda item: (-item[1], item[0]))]
    common = common[:BAKED_BATCH_COUNT]
    # The output shape of a transposed convolution is binding; that of a reshape may mean anything.
    ordered = [*common, *BATCH_SIZES] if is_transposed else [*BATCH_SIZES, *common]
    return list(dict.fromkeys(ordered))


def _areas(
    facts: GraphFacts, images: Sequence[str], outputs: Sequence[str]
) -> List[Tuple[int, int]]:
    """Give (height, width) pairs: different ones first, then squares."""
    ordered = forward_order(facts.graph, outputs)
    heights = SpatialNetwork(facts, ordered, images, 0).good_sizes(GOOD_SIZES_COUNT)
    widths = SpatialNetwork(facts, ordered, images, 1).good_sizes(GOOD_SIZES_COUNT)
    pairs = [(height, width) for height in heights for width in widths if height < width][:2]
    pairs += [(size, size) for size in heights if size in widths]
    pairs += [(size, size) for size in USUAL_SIZES]
    return list(dict.fromkeys(pairs))
