"""Writes tensorflow_ops.npz: single ops on small maps, computed by TensorFlow 1.15.

Run once by the legacy interpreter: `python make_tensorflow_ops.py`. The file is committed.
"""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import tensorflow as tf

SIZES = ((7, 9), (8, 6))
WINDOWS = ((1, 1), (2, 2), (3, 3), (4, 5))
STRIDES = ((1, 1), (2, 2), (3, 2))
# (align_corners, half_pixel_centers)
COORDINATES = ((False, False), (True, False), (False, True))


def cases():
    """Yield every case: the op, and the settings that both sides need."""
    for size, window, stride, padding in itertools.product(
        SIZES, WINDOWS, STRIDES, ("SAME", "VALID")
    ):
        settings = {"size": size, "kernel_size": window, "stride": stride, "padding": padding}
        yield dict(settings, op="conv2d")
        if stride != (1, 1):
            yield dict(settings, op="conv2d_transpose")
            yield dict(settings, op="max_pool")
            yield dict(settings, op="avg_pool")
    for size, method, coordinates in itertools.product(SIZES, ("nearest", "bilinear"), COORDINATES):
        for wanted in ((size[0] * 2, size[1] * 2), (size[0] * 3, size[1] * 2), (15, 26)):
            yield {
                "op": "resize",
                "size": size,
                "method": method,
                "align_corners": coordinates[0],
                "half_pixel_centers": coordinates[1],
                "output_size": wanted,
            }


def compute(case, x, weight):
    """Return the tensor of one case on `x` [1, H, W, 2]."""
    if case["op"] == "resize":
        bilinear = case["method"] == "bilinear"
        op = tf.raw_ops.ResizeBilinear if bilinear else tf.raw_ops.ResizeNearestNeighbor
        return op(
            images=x,
            size=case["output_size"],
            align_corners=case["align_corners"],
            half_pixel_centers=case["half_pixel_centers"],
        )
    strides = (1,) + case["stride"] + (1,)
    if case["op"] == "conv2d":
        return tf.nn.conv2d(x, weight, strides, case["padding"])
    if case["op"] == "conv2d_transpose":
        layer = tf.layers.Conv2DTranspose(
            3, case["kernel_size"], case["stride"], case["padding"].lower(), use_bias=False
        )
        shape = layer.compute_output_shape(x.shape).as_list()
        return tf.nn.conv2d_transpose(x, weight, shape, strides, case["padding"])
    window = (1,) + case["kernel_size"] + (1,)
    return getattr(tf.nn, case["op"])(x, window, strides, case["padding"])


def main():
    """Compute all cases and write them beside this file."""
    random = np.random.RandomState(5)
    arrays, table = {}, list(cases())
    with tf.Session() as session:
        for number, case in enumerate(table):
            x = random.randn(1, case["size"][0], case["size"][1], 2).astype(np.float32)
            weight = None
            if case["op"].startswith("conv2d"):
                channels = (3, 2) if case["op"] == "conv2d_transpose" else (2, 3)
                weight = random.randn(*(case["kernel_size"] + channels)).astype(np.float32)
                arrays[f"{number}/weight"] = weight
            arrays[f"{number}/x"] = x
            arrays[f"{number}/result"] = session.run(compute(case, tf.constant(x), weight))
    folder = os.path.dirname(os.path.abspath(__file__))
    np.savez_compressed(
        os.path.join(folder, "tensorflow_ops.npz"), cases=np.array(json.dumps(table)), **arrays
    )


if __name__ == "__main__":
    main()
