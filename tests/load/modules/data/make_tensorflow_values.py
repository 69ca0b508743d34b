"""Writes tensorflow_values.npz: what TensorFlow 1.15 computes where stage_load.modules stands.

Run once by the legacy interpreter: `python make_tensorflow_values.py`. The file is committed.
Poolings, transposed convolutions and further resizes are in tests/load/unet/data.
"""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import tensorflow as tf

SIZES = ((7, 9), (8, 6))
# (align_corners, half_pixel_centers)
COORDINATES = ((False, False), (True, False), (False, True))


def cases():
    """Yield every case: the op, and the settings that both sides need."""
    for size, window, dilation in itertools.product(
        SIZES, ((3, 3), (2, 4), (5, 3)), ((2, 2), (3, 1))
    ):
        yield {"op": "conv2d", "size": size, "kernel_size": window, "dilation": dilation}
    for size, window, stride in itertools.product((7, 8), (2, 3, 5), (1, 2, 3)):
        yield {"op": "conv1d", "size": (size,), "kernel_size": (window,), "stride": stride}
    for size, stride in itertools.product(((5, 6, 7), (4, 7, 8)), ((1, 1, 1), (2, 2, 2))):
        yield {"op": "conv3d", "size": size, "kernel_size": (3, 2, 4), "stride": stride}
    for size, window, stride in itertools.product(SIZES, ((3, 3), (2, 4)), (1, 2)):
        yield {"op": "depthwise", "size": size, "kernel_size": window, "stride": stride}
    for size, coordinates, wanted in itertools.product(SIZES, COORDINATES, ((16, 12), (5, 7))):
        yield {
            "op": "bicubic",
            "size": size,
            "align_corners": coordinates[0],
            "half_pixel_centers": coordinates[1],
            "output_size": wanted,
        }


def kernel_shape(case):
    """Return the shape of a case's kernel, or None."""
    if case["op"] == "bicubic":
        return None
    return case["kernel_size"] + ((2, 2) if case["op"] == "depthwise" else (2, 3))


def compute(case, x, weight):
    """Return the tensor of one case on `x` [1, ..., 2]."""
    op, stride = case["op"], case.get("stride")
    if op == "conv2d":
        dilations = (1,) + case["dilation"] + (1,)
        return tf.nn.conv2d(x, weight, (1, 1, 1, 1), "SAME", dilations=dilations)
    if op == "conv1d":
        return tf.nn.conv1d(x, weight, stride, "SAME")
    if op == "conv3d":
        return tf.nn.conv3d(x, weight, (1, *stride, 1), "SAME")
    if op == "depthwise":
        return tf.nn.depthwise_conv2d(x, weight, (1, stride, stride, 1), "SAME")
    return tf.raw_ops.ResizeBicubic(
        images=x,
        size=case["output_size"],
        align_corners=case["align_corners"],
        half_pixel_centers=case["half_pixel_centers"],
    )


def main():
    """Compute all cases and write them beside this file."""
    random = np.random.RandomState(11)
    arrays, table = {}, list(cases())
    with tf.Session() as session:
        for number, case in enumerate(table):
            x = random.randn(1, *case["size"], 2).astype(np.float32)
            shape, weight = kernel_shape(case), None
            if shape is not None:
                weight = arrays[f"{number}/weight"] = random.randn(*shape).astype(np.float32)
            arrays[f"{number}/x"] = x
            arrays[f"{number}/result"] = session.run(compute(case, x, weight))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tensorflow_values.npz")
    np.savez_compressed(path, cases=np.array(json.dumps(table)), **arrays)


if __name__ == "__main__":
    main()
