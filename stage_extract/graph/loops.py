"""Tells which nodes lie inside a while loop, where a tensor has no single value to fetch."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.traverse import ENTER_OPS, EXIT_OPS

# No program nests as many; a damaged graph may enter a loop from inside of it, again and again.
_DEEPEST = 64
# Names of the loops around a node, the outermost first.
_Frames = Tuple[str, ...]


def loop_frames(graph: Graph) -> Dict[str, str]:
    """Give the name of the innermost loop of every node that lies in one.

    A loop's frame begins at its Enter nodes and is left through its Exit nodes.
    """
    frames: Dict[str, _Frames] = {}
    waiting = [node for node in graph if node.op in ENTER_OPS]
    while waiting:
        node = waiting.pop()
        inside = _frames_of(node, frames)
        # A node is visited again once an enclosing loop becomes known; frames only ever grow.
        if node.name in frames and len(frames[node.name]) >= len(inside):
            continue
        frames[node.name] = inside
        if inside:
            waiting += [use.node for use in graph.successors(node.name)]
    return {name: around[-1] for name, around in frames.items() if around}


def _frames_of(node: Node, frames: Mapping[str, _Frames]) -> _Frames:
    sources = (node_name(tensor) for tensor in node.inputs)
    around: _Frames = max((frames.get(name, ()) for name in sources), key=len, default=())
    if node.op in ENTER_OPS:
        if len(around) == _DEEPEST:
            return around
        return (*around, str(node.attribute("frame_name")))
    return around[:-1] if node.op in EXIT_OPS else around
