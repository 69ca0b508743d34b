"""Finds in which order the kernels of a UNet run when there is no graph: by channels, then by
names.

A kernel continues the chain where its input channels are what the kernel before it gave out; where
they are more, the difference is a skip of that many channels, so a concat lies before it. Names
never decide against the channels: they choose among kernels that fit equally.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from stage_load.export_view import ExportView, Layer

UP_WORDS = ("up", "deconv", "transpos")
DECODER_WORDS = (*UP_WORDS, "dec", "expan", "right", "merge", "synth")
ENCODER_WORDS = ("down", "enc", "contract", "left", "pool", "analy")
# The search visits each kernel about once when names help; this ends it where nothing does.
MAX_VISITS = 20_000


@dataclass(frozen=True)
class Kernel:
    """A 4-D kernel and the variables that belong to it; ``place`` counts in the order of names."""

    layer: Layer
    shape: tuple[int, int, int, int]
    place: int
    transposed: bool
    norm: Layer | None = None

    @property
    def out_channels(self) -> int:
        """Channels that come out; of [H, W, O, I] for a transposed convolution."""
        return self.shape[2 if self.transposed else 3]

    @property
    def name(self) -> str:
        """The layer's name, a scope."""
        return self.layer.name

    @property
    def scope(self) -> str:
        """The scope around the layer's own."""
        return self.name.rpartition("/")[0]

    def has_word(self, words: Sequence[str]) -> bool:
        """Whether the name, in small letters, holds one of ``words``."""
        return any(word in self.name.lower() for word in words)


@dataclass(frozen=True)
class Link:
    """One kernel in its place: ``kind`` is "plain", "merge" (after a concat) or "up"."""

    kernel: Kernel
    kind: str
    out_channels: int
    skip_channels: int = 0


@dataclass
class Search:
    """A depth-first search for an order in which every kernel is used once and `accept` agrees."""

    kernels: Sequence[Kernel]
    accept: Callable[[tuple[Link, ...]], bool]
    visits: int = 0
    best: tuple[Link, ...] = field(default=())

    def run(self) -> tuple[Link, ...] | None:
        """Return the first complete order, None if there is none."""
        starts = [kernel for kernel in self.kernels if not kernel.transposed]
        for kernel in sorted(starts, key=lambda k: (k.shape[2], k.place)):
            found = self._extend((Link(kernel, "plain", kernel.shape[3]),))
            if found is not None:
                return found
        return None

    def _extend(self, chain: tuple[Link, ...]) -> tuple[Link, ...] | None:
        self.visits += 1
        if len(chain) > len(self.best):
            self.best = chain
        if len(chain) == len(self.kernels):
            return chain if self.accept(chain) else None
        if self.visits > MAX_VISITS:
            return None
        for link in sorted(self._continuations(chain), key=lambda link: _unlikeliness(chain, link)):
            found = self._extend((*chain, link))
            if found is not None:
                return found
        return None

    def _continuations(self, chain: tuple[Link, ...]) -> Iterator[Link]:
        used = {link.kernel.place for link in chain}
        channels = chain[-1].out_channels
        sides = _encoder_outputs(chain)
        only_after_up = any(kernel.transposed for kernel in self.kernels)
        for kernel in self.kernels:
            if kernel.place in used:
                continue
            _, _, third, fourth = kernel.shape
            if kernel.transposed:
                if fourth == channels and chain[-1].kind != "up":
                    yield Link(kernel, "up", third)
                continue
            if chain[-1].kind == "up":
                if third - channels in sides:
                    yield Link(kernel, "merge", fourth, third - channels)
                continue
            if third == channels:
                yield Link(kernel, "plain", fourth)
            elif not only_after_up and third - channels in sides:
                yield Link(kernel, "merge", fourth, third - channels)


def sort_key(name: str) -> list[tuple[int, int | str]]:
    """Return a key that sorts conv2d_2 before conv2d_10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def read_kernels(view: ExportView) -> list[Kernel]:
    """Return the convolution kernels by name, each without its batch norm yet."""
    layers = [layer for layer in view.layers if layer.kind in ("conv2d", "conv2d_transpose")]
    layers.sort(key=lambda layer: sort_key(layer.name))
    kernels = []
    for place, layer in enumerate(layers):
        height, width, third, fourth = view.variables[layer.variables["kernel"]].shape
        transposed = layer.kind == "conv2d_transpose"
        kernels.append(Kernel(layer, (height, width, third, fourth), place, transposed))
    return kernels


def readings(kernels: Sequence[Kernel]) -> Iterator[list[Kernel]]:
    """Yield the kernels as their kinds were guessed, then with those of other names transposed."""
    yield list(kernels)
    if not any(kernel.transposed for kernel in kernels):
        yield [replace(kernel, transposed=kernel.has_word(UP_WORDS)) for kernel in kernels]
        yield [replace(kernel, transposed=kernel.shape[:2] == (2, 2)) for kernel in kernels]


def encoder_part(chain: Sequence[Link]) -> tuple[Link, ...]:
    """Return the links before the first concat or transposed convolution."""
    kinds = [link.kind for link in chain]
    ends = [kinds.index(kind) for kind in ("merge", "up") if kind in kinds]
    return tuple(chain[: min(ends)]) if ends else tuple(chain)


def _encoder_outputs(chain: tuple[Link, ...]) -> frozenset[int]:
    return frozenset(link.out_channels for link in encoder_part(chain))


def _unlikeliness(chain: tuple[Link, ...], link: Link) -> tuple[bool | int, ...]:
    """Order continuations: where names point first, then the neighbour in the order of names."""
    last, kernel = chain[-1].kernel, link.kernel
    in_encoder = all(one.kind == "plain" for one in chain)
    same_scope = kernel.scope == last.scope and kernel.scope != ""
    # A block that starts without a concat belongs to the encoder, or is an up-sampling's own.
    starts_without_concat = link.kind == "plain" and not same_scope
    return (
        kernel.has_word(ENCODER_WORDS) and not in_encoder,
        not same_scope,
        starts_without_concat and in_encoder and kernel.has_word(DECODER_WORDS),
        starts_without_concat and kernel.has_word(DECODER_WORDS) and not kernel.has_word(UP_WORDS),
        kernel.place != last.place + 1,
        kernel.place,
    )
