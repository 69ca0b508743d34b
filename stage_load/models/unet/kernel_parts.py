"""Cuts a chain of kernels into the levels of a UNet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from stage_load.models.unet.kernel_order import UP_WORDS, Link, encoder_part

Blocks = tuple[tuple[Link, ...], ...]


@dataclass(frozen=True)
class Parts:
    """The kernels of each part of the network; ``ups`` and ``decoder`` have the deepest first."""

    encoder: Blocks
    bottleneck: tuple[Link, ...]
    ups: Blocks
    decoder: Blocks
    head: Link


def split(chain: tuple[Link, ...]) -> Parts | None:
    """Cut a chain of kernels into the parts of a UNet, None if it is none."""
    merges = [place for place, link in enumerate(chain) if link.kind == "merge"]
    start = list(encoder_part(chain))
    skips = [chain[place].skip_channels for place in reversed(merges)]
    cuts = _encoder_cuts(start, skips)
    if not cuts or chain[-1].kind == "up":
        return None
    encoder = tuple(tuple(start[a:b]) for a, b in itertools.pairwise((0, *cuts)))
    blocks: list[tuple[Link, ...]] = [tuple(start[cuts[-1] :])]
    ups: list[tuple[Link, ...]] = []
    usual = max(len(block) for block in encoder)
    for place, end in zip(merges, (*merges[1:], len(chain)), strict=True):
        before, up = _split_up(blocks[-1], chain[place - 1], usual)
        blocks[-1] = before
        ups.append(up)
        blocks.append(tuple(link for link in chain[place:end] if link.kind != "up"))
    last = blocks[-1]
    return Parts(encoder, blocks[0], tuple(ups), (*blocks[1:-1], last[:-1]), last[-1])


def _split_up(
    block: tuple[Link, ...], before: Link, usual: int
) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    """Split the up-sampling's own convolution from the end of the block before it."""
    if before.kind == "up":
        return block, (before,)
    last = block[-1]
    named = last.kernel.has_word(UP_WORDS) and not block[0].kernel.has_word(UP_WORDS)
    smaller = last.kernel.shape[:2] == (2, 2) != block[0].kernel.shape[:2]
    if len(block) > 1 and (named or smaller or len(block) > usual):
        return block[:-1], (last,)
    return block, ()


def _encoder_cuts(start: Sequence[Link], skips: Sequence[int]) -> tuple[int, ...]:
    """Return after which kernels the encoder's levels end: where names change, else evenly.

    Empty if the encoder does not give these skips, the shallowest first.
    """

    def cost(cuts: tuple[int, ...]) -> tuple[int, int]:
        inside = sum(start[cut - 1].kernel.scope == start[cut].kernel.scope for cut in cuts)
        lengths = [b - a for a, b in itertools.pairwise((0, *cuts))]
        return inside, max(lengths) - min(lengths)

    fitting = [
        cuts
        for cuts in itertools.combinations(range(1, len(start)), len(skips))
        if all(start[cut - 1].out_channels == skip for cut, skip in zip(cuts, skips, strict=True))
    ]
    return min(fitting, key=cost, default=())
