"""Pictures of outputs that are images or masks: TensorFlow's, torch's and their difference.

They are PNG files inside the page, as data URIs.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stage_load.samples import COLOUR, MASK, Picture

# Dark, then colours that people who do not see red and green alike can tell apart as well.
_CLASS_COLOURS = (
    (32, 32, 40),
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (0, 114, 178),
)
_WHITE = 255


@dataclass(frozen=True)
class Panel:
    """One picture: its title, what it shows in words, and its data URI."""

    title: str
    in_words: str
    uri: str


@dataclass(frozen=True)
class Panels:
    """The pictures of an output, side by side."""

    panels: tuple[Panel, ...]
    caption: str


def panels(picture: Picture) -> Panels:
    """Draw both sides in the same colours, and their difference, white where it is largest."""
    low, high = _range(picture.expected)
    largest = float(np.nan_to_num(picture.difference, posinf=0.0).max())
    height, width = picture.difference.shape
    size = f"{width} x {height} pixels"
    what = {MASK: "mask of classes", COLOUR: "image in colours"}.get(picture.kind, "image")
    parts = [
        Panel(side, f"{side}'s {what}, {size}", _uri(_image(values, picture.kind, low, high)))
        for side, values in (("TensorFlow", picture.expected), ("torch", picture.actual))
    ]
    words = f"largest difference of each pixel, {size}; white is {largest:.2g}"
    parts.append(Panel("difference", words, _uri(_spread(picture.difference, 0.0, largest))))
    return Panels(tuple(parts), _caption(picture, largest))


def _caption(picture: Picture, largest: float) -> str:
    text = f"The first example of the reference run; white in the difference is {largest:.2g}"
    if picture.kind == MASK:
        other = int(np.count_nonzero(picture.expected != picture.actual))
        text += f", {other:,} of {picture.expected.size:,} pixels have another class"
    if picture.step > 1:
        text += f"; one of {picture.step} pixels shown each way"
    return f"{text}."


def _range(values: NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _image(values: NDArray[Any], kind: str, low: float, high: float) -> Image.Image:
    if kind != MASK:
        return _spread(values, low, high)
    numbers = values.astype(np.int64) % len(_CLASS_COLOURS)
    image = Image.fromarray(numbers.astype(np.uint8))
    image.putpalette([value for colour in _CLASS_COLOURS for value in colour])
    return image


def _spread(values: NDArray[Any], low: float, high: float) -> Image.Image:
    """Spread numbers between ``low`` and ``high`` from black to white; NaN is black."""
    shares = (np.clip(values, low, high) - low) / ((high - low) or 1.0)
    return Image.fromarray(np.rint(np.nan_to_num(shares) * _WHITE).astype(np.uint8))


def _uri(image: Image.Image) -> str:
    written = io.BytesIO()
    image.save(written, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
