"""What tells one UNet from another, as frozen data that goes through JSON and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stage_load.models.unet.step_json import (
    step_from_json,
    step_to_json,
    steps_from_json,
    steps_to_json,
)
from stage_load.models.unet.steps import (
    Activation,
    BatchNorm,
    Convolution,
    Crop,
    DepthToSpace,
    Padding,
    Pair,
    Pool,
    Resize,
    Step,
    Steps,
    TransposedConvolution,
    channels_after,
)


@dataclass(frozen=True)
class EncoderLevel:
    """One level on the way down.

    ``block`` computes the skip, ``down`` halves it for the next level (pooling or a strided
    convolution, after whatever stands between). ``skip`` is applied to the skip alone, such as a
    dropout.
    """

    block: Steps
    down: Steps = (Pool(),)
    skip: Steps = ()


@dataclass(frozen=True)
class DecoderLevel:
    """One level on the way up: ``up``, the concat with the skip, ``block``.

    ``skip_first`` is the order in the concat, None where no concat follows ``up`` (at the outermost
    level, of a network whose first convolution halves the image); ``crop`` is what is cut from the
    skip before it.
    """

    up: Steps
    block: Steps
    skip_first: bool | None = True
    crop: Crop | None = None


@dataclass(frozen=True)
class UNetConfig:
    """A UNet: encoder levels, a bottleneck, as many decoder levels (the deepest first), a head.

    ``tf1_output`` is the TensorFlow tensor that the module's result corresponds to,
    ``sample_size`` a (height, width) that the network accepts. ``assumptions`` lists, as
    sentences, what the checkpoint could not tell.
    """

    in_channels: int
    encoder: tuple[EncoderLevel, ...]
    bottleneck: Steps
    decoder: tuple[DecoderLevel, ...]
    head: Steps
    sample_size: Pair
    tf1_output: str | None = None
    evidence: Literal["graph", "guessed"] = "graph"
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.encoder) != len(self.decoder):
            raise ValueError(
                "A UNet has as many decoder levels as encoder levels: "
                f"got {len(self.decoder)} and {len(self.encoder)}."
            )

    @property
    def levels(self) -> int:
        """How many resolutions there are, the bottleneck's included."""
        return len(self.encoder) + 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that each resolution's encoder block (last: the bottleneck) gives out."""
        channels, widths = self.in_channels, []
        for level in self.encoder:
            widths.append(channels_after(level.block, channels))
            channels = channels_after(level.down, widths[-1])
        return (*widths, channels_after(self.bottleneck, channels))

    @property
    def classes(self) -> int:
        """Channels of the result."""
        return channels_after(tuple(self.steps()), self.in_channels)

    def steps(self) -> Iterator[Step]:
        """Yield every step in the order of the forward pass."""
        for level in self.encoder:
            yield from (*level.block, *level.down)
        yield from self.bottleneck
        for decoder_level in self.decoder:
            yield from (*decoder_level.up, *decoder_level.block)
        yield from self.head

    def describe(self) -> str:
        """Say in one line what this UNet is, for people."""
        widths = "-".join(str(width) for width in self.widths)
        norm = (
            "batch norm" if any(isinstance(s, BatchNorm) for s in self.steps()) else "no batch norm"
        )
        return (
            f"UNet of {self.levels} levels ({widths} channels), "
            f"{self.in_channels} -> {self.classes} channels, "
            f"{self._describe_up()}, {norm}, {self._describe_skips()}"
        )

    def _describe_up(self) -> str:
        steps = [step for level in self.decoder for step in level.up]
        if any(isinstance(step, TransposedConvolution) for step in steps):
            return "transposed convolutions"
        methods: set[str] = {step.method for step in steps if isinstance(step, Resize)}
        methods |= {"depth-to-space" for step in steps if isinstance(step, DepthToSpace)}
        return f"{' and '.join(sorted(methods))} up-sampling"

    def _describe_skips(self) -> str:
        first = {level.skip_first for level in self.decoder}
        order = {True: "skip first", False: "skip last", None: "no skip at the outermost level"}
        sides = " or ".join(text for side, text in order.items() if side in first)
        sides = sides.replace(" or no skip", ", no skip")
        return f"{sides}, cropped" if any(level.crop for level in self.decoder) else sides

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values; ``from_json`` reads it back."""
        return {
            "in_channels": self.in_channels,
            "encoder": [
                {
                    "block": steps_to_json(level.block),
                    "down": steps_to_json(level.down),
                    "skip": steps_to_json(level.skip),
                }
                for level in self.encoder
            ],
            "bottleneck": steps_to_json(self.bottleneck),
            "decoder": [
                {
                    "up": steps_to_json(level.up),
                    "crop": None if level.crop is None else step_to_json(level.crop),
                    "skip_first": level.skip_first,
                    "block": steps_to_json(level.block),
                }
                for level in self.decoder
            ],
            "head": steps_to_json(self.head),
            "sample_size": list(self.sample_size),
            "tf1_output": self.tf1_output,
            "evidence": self.evidence,
            "assumptions": list(self.assumptions),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UNetConfig:
        """Read what ``to_json`` wrote.

        Raises:
            KeyError: a part of the configuration is missing.
            ValueError: a step is unknown, or the levels do not match.
        """
        return cls(
            in_channels=values["in_channels"],
            encoder=tuple(
                EncoderLevel(*(steps_from_json(level[part]) for part in ("block", "down", "skip")))
                for level in values["encoder"]
            ),
            bottleneck=steps_from_json(values["bottleneck"]),
            decoder=tuple(_decoder_level(level) for level in values["decoder"]),
            head=steps_from_json(values["head"]),
            sample_size=tuple(values["sample_size"]),
            tf1_output=values["tf1_output"],
            evidence=values["evidence"],
            assumptions=tuple(values["assumptions"]),
        )

    @classmethod
    def standard(
        cls,
        in_channels: int,
        classes: int,
        widths: Sequence[int],
        *,
        convolutions: int = 2,
        batch_norm: bool = False,
        up: Literal["nearest", "transposed"] = "transposed",
        padding: Padding = "SAME",
        activation: str = "relu",
    ) -> UNetConfig:
        """Configure a regular UNet without a checkpoint.

        Args:
            in_channels: channels of the image.
            classes: channels of the result.
            widths: channels at each resolution, the bottleneck's last.
            convolutions: 3x3 convolutions in each block.
            batch_norm: batch norm between each convolution and its activation.
            up: transposed convolution of kernel 2, or nearest x2 and a 3x3 convolution.
            padding: VALID crops the skips, as in arXiv:1505.04597.
            activation: a name of ``step_modules.ACTIVATIONS``.
        """
        after = (*((BatchNorm(),) if batch_norm else ()), Activation(activation))

        def block(width: int) -> Steps:
            unit = (Convolution(width, padding=padding), *after)
            return unit * convolutions

        def upsample(width: int) -> Steps:
            if up == "transposed":
                return (TransposedConvolution(width), *after)
            return (Resize(), Convolution(width), *after)

        crop = Crop() if padding == "VALID" else None
        size = _standard_size(len(widths), convolutions, padding)
        return cls(
            in_channels=in_channels,
            encoder=tuple(EncoderLevel(block(width)) for width in widths[:-1]),
            bottleneck=block(widths[-1]),
            decoder=tuple(
                DecoderLevel(upsample(width), block(width), crop=crop)
                for width in reversed(widths[:-1])
            ),
            head=(Convolution(classes, kernel_size=(1, 1)),),
            sample_size=(size, size),
        )


def _standard_size(resolutions: int, convolutions: int, padding: Padding) -> int:
    """Return a size that goes evenly through the poolings, with room for what VALID takes off."""
    lost = 0 if padding == "SAME" else 2 * convolutions * ((1 << resolutions) - 1)
    multiple = 1 << (resolutions - 1)
    return -(-(2 * lost + 2 * multiple) // multiple) * multiple


def _decoder_level(values: Mapping[str, Any]) -> DecoderLevel:
    crop = None if values["crop"] is None else step_from_json(values["crop"])
    if crop is not None and not isinstance(crop, Crop):
        raise ValueError(f"A skip is cut by a step 'crop', not by {crop.kind!r}.")
    return DecoderLevel(
        up=steps_from_json(values["up"]),
        block=steps_from_json(values["block"]),
        skip_first=values["skip_first"],
        crop=crop,
    )
