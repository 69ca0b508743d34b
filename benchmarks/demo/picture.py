"""Put the demo's pictures together: input, TensorFlow's mask, torch's mask, difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

# background, disc, ring, cross: told apart also by people who do not see red and green alike.
CLASS_COLORS = ((32, 32, 40), (86, 180, 233), (240, 228, 66), (213, 94, 0))
ENLARGEMENT = 2
GAP = 8
CAPTION_HEIGHT = 44
FONT_SIZE = 13
ROWS = ("input", "tf", "torch", "difference")
LABELS = ("input", "TensorFlow 1.15", "torch", "difference")
LABEL_WIDTH = 120


def caption(comparison: Mapping[str, Any]) -> tuple[str, str]:
    """What the numbers say, in two lines."""
    other, pixels = comparison["pixels_of_another_class"], comparison["pixels"]
    return (
        f"{other} of {pixels:,} pixels got another class.",
        f"Difference of the logits: white = its largest, {comparison['largest_difference']:.1e}; "
        f"the largest logit is {comparison['largest_logit']:.1f}.",
    )


def _tile(folder: Path, row: str, index: int) -> Image.Image:
    """One enlarged picture; masks in the colours of their classes."""
    if row == "input":
        image = Image.open(folder / f"{row}{index}.ppm")
    else:
        image = Image.open(folder / f"{row}{index}.pgm")
        if row != "difference":
            image.putpalette([value for color in CLASS_COLORS for value in color])
    size = (image.width * ENLARGEMENT, image.height * ENLARGEMENT)
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST)


def draw_picture(folder: Path, comparison: Mapping[str, Any], target: Path) -> None:
    """Write the picture.

    Args:
        folder: holds what predict.py wrote.
        comparison: content of its comparison.json.
        target: PNG file to write.
    """
    count = comparison["count"]
    tiles = {row: [_tile(folder, row, index) for index in range(count)] for row in ROWS}
    width, height = tiles["input"][0].size
    canvas_size = (
        LABEL_WIDTH + count * (width + GAP),
        GAP + len(ROWS) * (height + GAP) + CAPTION_HEIGHT,
    )
    canvas = Image.new("RGB", canvas_size, "white")
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(FONT_SIZE)
    for position, (row, label) in enumerate(zip(ROWS, LABELS, strict=True)):
        top = GAP + position * (height + GAP)
        pen.text((GAP, top + height // 2), label, fill="black", font=font, anchor="lm")
        for index, tile in enumerate(tiles[row]):
            canvas.paste(tile, (LABEL_WIDTH + index * (width + GAP), top))
    for number, line in enumerate(caption(comparison)):
        top = canvas_size[1] - CAPTION_HEIGHT + number * (CAPTION_HEIGHT // 2)
        pen.text((GAP, top), line, fill="black", font=font)
    canvas.save(target, optimize=True)
