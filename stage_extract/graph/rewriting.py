"""Changes that turn a training graph into the graph of its inference."""

from __future__ import annotations

from typing import NamedTuple


class Rewrite(NamedTuple):
    """One node that is replaced by one of the tensors it saw.

    Attributes:
        node: the replaced node.
        op: its op type.
        becomes: the tensor that stands for the node's first output from now on.
        why: the reason, for people.
    """

    node: str
    op: str
    becomes: str
    why: str
