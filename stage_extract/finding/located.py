"""What a path was found to mean."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple


class Located(NamedTuple):
    """A model that is there, and its format.

    Attributes:
        prefix: of a checkpoint its path without any suffix; of another format its file or folder.
        step: training step in its name; None without one.
        warnings: what was odd on the way, for the user.
        format: a key of `formats.registry.OPENERS`.
        other_format: of another checkpoint at the same prefix; None without one.
    """

    prefix: str
    step: Optional[int]
    warnings: Tuple[str, ...]
    format: str = "V2"
    other_format: Optional[str] = None
