"""A UNet from names and shapes alone, for a checkpoint that came without its graph.

Everything that shapes cannot tell is assumed as tutorials write it, and each assumption is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import ExportView, Layer
from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.kernel_order import (
    Kernel,
    Link,
    Search,
    read_kernels,
    readings,
    sort_key,
)
from stage_load.models.unet.kernel_parts import Blocks, Parts, split
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


def guess(view: ExportView) -> Guess:
    """Guess the UNet that an export without a graph holds.

    Raises:
        ModelDoesNotFit: the kernels' shapes form no UNet, or variables are left over.
    """
    first: Search | None = None
    for accept in (_is_regular, _is_nearly_regular, _is_unet):
        for kernels in readings(read_kernels(view)):
            search = Search(_with_norms(view, kernels), accept)
            chain = search.run()
            parts = None if chain is None else split(chain)
            if parts is not None:
                return _build(view, parts)
            first = first or search
    raise _no_order(first)


def _is_unet(chain: tuple[Link, ...]) -> bool:
    return split(chain) is not None


def _is_nearly_regular(chain: tuple[Link, ...]) -> bool:
    """Whether a UNet is regular but for its ends, where a stem or further scores may stand."""
    parts = split(chain)
    return parts is not None and _are_regular(parts, parts.encoder[1:], parts.decoder[:-1])


def _is_regular(chain: tuple[Link, ...]) -> bool:
    """Whether the blocks are as long as each other and the head is 1x1, as tutorials have it."""
    parts = split(chain)
    return parts is not None and _are_regular(parts, parts.encoder, parts.decoder)


def _are_regular(parts: Parts, encoder: Blocks, decoder: Blocks) -> bool:
    lengths = [{len(block) for block in blocks} for blocks in (decoder, parts.ups)]
    first = {len(block) for block in (*encoder, parts.bottleneck)}
    uniform = len(first) == 1 and all(len(length) <= 1 for length in lengths)
    return uniform and parts.head.kernel.shape[:2] == (1, 1)


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
    sizes = {view.variables[name].shape for name in norm.variables.values()}
    return sizes == {(kernel.out_channels,)} and scope in (kernel.scope, kernel.name)


def _no_order(search: Search | None) -> ModelDoesNotFit:
    if search is None:
        search = Search((), _is_unet)
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
