"""Writes data/: run once by Python 3.7 with TensorFlow 1.15, from the repository's root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import tensorflow
from checkpoint_values import CUT_SHAPE, CUTS, DTYPES, V2_ONLY, cut_values, plain_values

DATA = Path(__file__).parent / "data"

_compat = tensorflow.compat.v1


def cut_parts() -> list[tuple[str, Any, str]]:
    """Give name, values and TensorFlow's text of each part of the cut variable."""
    parts = []
    for box in CUTS:
        extents = ":".join(f"{start},{stop - start}" for start, stop in box)
        text = " ".join(map(str, CUT_SHAPE)) + " " + extents
        parts.append(("cut", cut_values()[tuple(slice(*bounds) for bounds in box)], text))
    return parts


def save(op: str, path: Path, tensors: list[tuple[str, Any, str]]) -> None:
    """Save with one of TensorFlow's ops."""
    names = [name for name, _, _ in tensors]
    values = [array for _, array, _ in tensors]
    texts = [text for _, _, text in tensors]
    with _compat.Graph().as_default(), _compat.Session() as session:
        common = {"tensor_names": names}
        if op == "V1":
            common.update(filename=str(path), shapes_and_slices=texts, data=values)
            session.run(_compat.raw_ops.SaveSlices(**common))
        else:
            common.update(prefix=str(path), shape_and_slices=texts, tensors=values)
            session.run(_compat.raw_ops.SaveV2(**common))


def whole(values: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Give tensors that are not cut as `save` takes them."""
    words = numpy.array([b"one", b"two"], object)
    return [*((name, array, "") for name, array in values.items()), ("words", words, "")]


def main() -> None:
    """Write all of them."""
    in_v1 = tuple(name for name in DTYPES if name not in V2_ONLY)
    for folder in ("v1_single", "v1_shards", "v2"):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
    first, second, third, fourth = cut_parts()
    plain = whole(plain_values(in_v1))
    save("V1", DATA / "v1_single" / "model", [*plain, first, second, third, fourth])
    save("V1", DATA / "v1_shards" / "model-00000-of-00002", [*plain[::2], first, fourth])
    save("V1", DATA / "v1_shards" / "model-00001-of-00002", [*plain[1::2], second, third])
    save("V2", DATA / "v2" / "model", [*whole(plain_values()), first, second, third, fourth])


if __name__ == "__main__":
    main()
