"""A UNet from names and shapes alone, for a checkpoint that came without its graph.

Everything that shapes cannot tell is assumed as tutorials write it, and each assumption is listed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import ExportView, Layer
from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.kernel_order import (
    UP_WORDS,
    Kernel,
    Link,
    Search,
    encoder_part,
    read_kernels,
    sort_key,
)
from stage_load.models.unet.steps import (
    Activation,
    BatchNorm,
    Convolution,
    Resize,
    Steps,
    TransposedConvolution,
)

REMEDY = "Put the .meta file beside the checkpoint, or pass '--model file.py:Factory'."

# A role of a TensorFlow variable -> the torch module's name for it.
CONVOLUTION_ROLES = {"kernel": "weight", "bias": "bias"}
NORM_ROLES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class Guess:
    """A configuration without evidence from a graph, and TF variable -> torch name."""

    config: UNetConfig
    names: dict[str, str]


@dataclass(frozen=True)
class Parts:
    """The kernels of each part of the network; ``ups`` and ``decoder`` have the deepest first."""

    encoder: tuple[tuple[Link, ...], ...]
    bottleneck: tuple[Link, ...]
    ups: tuple[tuple[Link, ...], ...]
    decoder: tuple[tuple[Link, ...], ...]
    head: Link


def guess(view: ExportView) -> Guess:
    """Guess the UNet that an export without a graph holds.

    Raises:
        ModelDoesNotFit: the kernels' shapes form no UNet, or variables are left over.
    """
    kernels = _with_norms(view, read_kernels(view))
    transposed = any(kernel.layer.kind == "conv2d_transpose" for kernel in kernels)
    search = Search(kernels, transposed)
    chain = search.run() if kernels else None
    if chain is None:
        raise _no_order(search)
    return _build(view, _split(chain))


def _with_norms(view: ExportView, kernels: list[Kernel]) -> list[Kernel]:
    """Give each kernel the batch norm of its scope, in the order of names."""
    norms = [layer for layer in view.layers if layer.kind == "batch_norm"]
    norms.sort(key=lambda layer: sort_key(layer.name))
    found = []
    for kernel in kernels:
        norm = next((one for one in norms if _belongs(view, one, kernel)), None)
        if norm is not None:
            norms.remove(norm)
        found.append(replace(kernel, norm=norm))
    others = [*norms, *(e for e in view.layers if e.kind not in _KNOWN_KINDS)]
    if others:
        raise ModelDoesNotFit(
            "Without a graph, no convolution of a UNet was found for the variables of "
            f"{', '.join(repr(layer.name) for layer in others)}.",
            "Expected convolutions, transposed convolutions and one batch norm for each at most.",
            REMEDY,
        )
    return found


_KNOWN_KINDS = ("batch_norm", "conv2d", "conv2d_transpose")


def _belongs(view: ExportView, norm: Layer, kernel: Kernel) -> bool:
    scope = norm.name.rpartition("/")[0]
    out = kernel.shape[2 if kernel.layer.kind == "conv2d_transpose" else 3]
    sizes = {view.variables[name].shape for name in norm.variables.values()}
    return sizes == {(out,)} and scope in (kernel.scope, kernel.name)


def _no_order(search: Search) -> ModelDoesNotFit:
    used = {link.kernel.place for link in search.best}
    rest = [f"'{k.name}' {list(k.shape)}" for k in search.kernels if k.place not in used]
    last = search.best[-1] if search.best else None
    reached = (
        "there is no convolution"
        if last is None
        else f"after '{last.kernel.name}', which gives {last.out_channels} channels, none of "
        f"{', '.join(rest) or 'no kernels'} continues"
    )
    return ModelDoesNotFit(
        f"The shapes of the kernels form no UNet: {reached}.",
        "Expected each kernel to read what another gives, alone or together with a skip.",
        REMEDY,
    )


def _split(chain: tuple[Link, ...]) -> Parts:
    """Cut the chain into levels."""
    merges = [place for place, link in enumerate(chain) if link.kind == "merge"]
    start = list(encoder_part(chain))
    skips = [chain[place].skip_channels for place in reversed(merges)]
    cuts = _encoder_cuts(start, skips)
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
    blocks[-1] = last[:-1]
    return Parts(encoder, blocks[0], tuple(ups), tuple(blocks[1:]), last[-1])


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
    """Return after which kernels the encoder's levels end: where names change, else evenly."""

    def cost(cuts: tuple[int, ...]) -> tuple[int, int]:
        inside = sum(start[cut - 1].kernel.scope == start[cut].kernel.scope for cut in cuts)
        lengths = [b - a for a, b in itertools.pairwise((0, *cuts))]
        return inside, max(lengths) - min(lengths)

    fitting = [
        cuts
        for cuts in itertools.combinations(range(1, len(start)), len(skips))
        if all(start[cut - 1].out_channels == skip for cut, skip in zip(cuts, skips, strict=True))
    ]
    return min(fitting, key=cost)


def _build(view: ExportView, parts: Parts) -> Guess:
    names: dict[str, str] = {}

    def block(links: Sequence[Link], path: str) -> Steps:
        steps, found = _steps(links, path)
        names.update(found)
        return steps

    encoder = tuple(
        EncoderLevel(block(links, f"encoder.{n}.block")) for n, links in enumerate(parts.encoder)
    )
    bottleneck = block(parts.bottleneck, "bottleneck")
    transposed = any(link.kind == "up" for links in parts.ups for link in links)
    decoder = tuple(
        DecoderLevel(
            up=(*(() if transposed else (Resize(),)), *block(up, f"decoder.{n}.up")),
            block=block(links, f"decoder.{n}.block"),
            skip_first=transposed,
        )
        for n, (up, links) in enumerate(zip(parts.ups, parts.decoder, strict=True))
    )
    head = block((parts.head,), "head")
    if parts.head.kernel.norm is None:
        head = head[:-1]
    first = (*parts.encoder, parts.bottleneck)[0][0]
    size = 2 ** (len(encoder) + 2)
    config = UNetConfig(
        in_channels=first.kernel.shape[2],
        encoder=encoder,
        bottleneck=bottleneck,
        decoder=decoder,
        head=head,
        sample_size=(size, 2 * size),
        evidence="guessed",
        assumptions=_assumptions(view, transposed),
    )
    return Guess(config, names)


def _steps(links: Sequence[Link], path: str) -> tuple[Steps, dict[str, str]]:
    steps: list[Convolution | TransposedConvolution | BatchNorm | Activation] = []
    names: dict[str, str] = {}
    norms = 0
    for number, link in enumerate(links, 1):
        layer, norm = link.kernel.layer, link.kernel.norm
        size, bias = link.kernel.shape[:2], "bias" in layer.variables
        module = f"{path}.convolution_{number}"
        if link.kind == "up":
            module = f"{path}.transposed_convolution_{number}"
            steps.append(TransposedConvolution(link.out_channels, size, bias=bias))
        else:
            steps.append(Convolution(link.out_channels, size, bias=bias))
        names.update(_named(layer, module, CONVOLUTION_ROLES))
        if norm is not None:
            norms += 1
            steps.append(BatchNorm(affine=bool({"gamma", "beta"} & norm.variables.keys())))
            names.update(_named(norm, f"{path}.batch_norm_{norms}", NORM_ROLES))
        if link.kind != "up" or norm is not None:
            steps.append(Activation("relu"))
    return tuple(steps), names


def _named(layer: Layer, module: str, roles: dict[str, str]) -> dict[str, str]:
    return {name: f"{module}.{roles[role]}" for role, name in layer.variables.items()}


def _assumptions(view: ExportView, transposed: bool) -> tuple[str, ...]:
    reason = view.provenance.get("graph_reason") or "no graph"
    up = (
        "Up-sampling: transposed convolutions of stride 2, with no activation of their own."
        if transposed
        else "Up-sampling: nearest neighbour, twice the size."
    )
    order = "skip, up-sampled map" if transposed else "up-sampled map, skip"
    return (
        f"Guessed from names and shapes ({reason}); nothing below was checked against TensorFlow.",
        "Order of the convolutions: the one in which the channels fit, names breaking ties.",
        "Padding: SAME everywhere. Pooling: maximum of 2x2, stride 2.",
        up,
        f"Concat: {order}.",
        "Activation: ReLU after each convolution (after its batch norm), none after the last one.",
        "Batch norm: epsilon 1e-3, decay 0.99 (tf.layers' defaults). Dropout: none.",
    )
