"""Ask the converted network about the held-out pictures: `python predict.py TRAINED RESULT OUT`.

Runs in the load environment. Writes plain PPM and PGM pictures, which need no library, and
comparison.json. TRAINED holds held_out.npz; RESULT is what `orchestrate.py` wrote.
"""

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from stage_load import load_model

ByteImages = npt.NDArray[np.uint8]


def torch_logits(result: Path, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Logits [count, height, width, classes] for images [count, height, width, channels]."""
    model = load_model(result)
    with torch.no_grad():
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
    array: npt.NDArray[np.float32] = logits.permute(0, 2, 3, 1).numpy()
    return array


def write_images(folder: Path, name: str, images: ByteImages) -> None:
    """Write [count, height, width] as PGM or [count, height, width, 3] as PPM files."""
    magic, suffix = ("P6", "ppm") if images.ndim == 4 else ("P5", "pgm")
    height, width = images.shape[1:3]
    for index, image in enumerate(images):
        header = f"{magic}\n{width} {height}\n255\n".encode()
        (folder / f"{name}{index}.{suffix}").write_bytes(header + image.tobytes())


def main() -> int:
    """Compare and write."""
    trained, result, out = map(Path, sys.argv[1:])
    held_out = np.load(trained / "held_out.npz")
    expected, found = held_out["logits"], torch_logits(result, held_out["images"])
    difference = np.abs(expected - found).max(axis=-1)
    tf_mask, torch_mask = expected.argmax(axis=-1), found.argmax(axis=-1)
    largest = float(difference.max())
    write_images(out, "input", np.round(held_out["images"] * 255).astype(np.uint8))
    write_images(out, "tf", tf_mask.astype(np.uint8))
    write_images(out, "torch", torch_mask.astype(np.uint8))
    scaled = difference / largest if largest > 0 else difference
    write_images(out, "difference", np.round(scaled * 255).astype(np.uint8))
    comparison = {
        "count": len(expected),
        "largest_difference": largest,
        "largest_logit": float(np.abs(expected).max()),
        "pixels": int(tf_mask.size),
        "pixels_of_another_class": int(np.sum(tf_mask != torch_mask)),
    }
    (out / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
