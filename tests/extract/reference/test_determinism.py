"""Equal input gives equal bytes: ops whose threads race, and threads that others have chosen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import tensorflow

REPOSITORY = Path(__file__).parents[3]
RUNS = 6

compat = tensorflow.compat.v1
raw = tensorflow.raw_ops


def drawn(*shape):
    """Numbers of many sizes: in another order, they have another sum."""
    generator = numpy.random.RandomState(7)
    sizes = numpy.exp(3 * generator.normal(size=shape))
    return (generator.normal(size=shape) * sizes).astype("float32")


def places(high, *shape):
    return numpy.random.RandomState(9).randint(0, high, size=shape).astype("int32")


def boxes(count):
    """Corners y1, x1, y2, x2 in parts of the image, most of which overlap."""
    return numpy.random.RandomState(11).uniform(size=(count, 4)).astype("float32")


BINS = places(5, 300000)
STITCHED = places(40, 6, 3000)
OF_IMAGE = places(2, 300)


def bincount(weight):
    raw.Bincount(arr=BINS, size=5, weights=drawn(300000) * weight, name="racing")


def bincount_in_order(weight):
    sums = numpy.zeros(5, "float32")
    numpy.add.at(sums, BINS, drawn(300000) * weight)
    return sums


def crop_gradient(weight):
    raw.CropAndResizeGradImage(
        grads=drawn(300, 9, 11, 3) * weight,
        boxes=boxes(300),
        box_ind=OF_IMAGE,
        image_size=[2, 31, 37, 3],
        T="float32",
        name="racing",
    )


def crop_gradient_in_order(weight):
    """Each pixel's gradient goes to the four that it was interpolated from, in their parts."""
    image = numpy.zeros((2, 31, 37, 3))
    for grads, (y1, x1, y2, x2), index in zip(
        drawn(300, 9, 11, 3).astype("float64") * weight, boxes(300), OF_IMAGE
    ):
        for row in range(9):
            y = y1 * 30 + row * (y2 - y1) * 30 / 8
            for column in range(11):
                x = x1 * 36 + column * (x2 - x1) * 36 / 10
                top, left = int(numpy.floor(y)), int(numpy.floor(x))
                bottom, right = int(numpy.ceil(y)), int(numpy.ceil(x))
                value = grads[row, column]
                image[index, top, left] += (1 - (y - top)) * (1 - (x - left)) * value
                image[index, top, right] += (1 - (y - top)) * (x - left) * value
                image[index, bottom, left] += (y - top) * (1 - (x - left)) * value
                image[index, bottom, right] += (y - top) * (x - left) * value
    return image


def stitch(weight):
    pieces = [drawn(3000, 16) * (weight + number) for number in range(6)]
    raw.ParallelDynamicStitch(indices=list(STITCHED), data=pieces, name="racing")


def stitch_in_order(weight):
    rows = numpy.zeros((40, 16), "float32")
    for number, indices in enumerate(STITCHED):
        # Of the rows for one place, the last one stays.
        for place, row in zip(indices, drawn(3000, 16) * numpy.float32(weight + number)):
            rows[place] = row
    return rows


def with_an_input(racing):
    """A graph with an input, a variable and an op whose threads race."""

    def build():
        compat.placeholder("float32", [3], name="x")
        weight = compat.get_variable("weight", [], initializer=compat.ones_initializer())
        racing(weight)
        compat.add(compat.get_default_graph().get_tensor_by_name("x:0"), weight, name="sum")

    return build


@pytest.mark.parametrize(
    ("racing", "in_order", "tolerance"),
    [
        pytest.param(bincount, bincount_in_order, 0, id="Bincount"),
        pytest.param(crop_gradient, crop_gradient_in_order, 1e-5, id="CropAndResizeGradImage"),
        pytest.param(stitch, stitch_in_order, 0, id="ParallelDynamicStitch"),
    ],
)
def test_an_op_whose_threads_race_has_one_thread(
    save_graph, run_reference, tmp_path, racing, in_order, tolerance
):
    saved = save_graph(with_an_input(racing))
    written = set()
    for _ in range(RUNS):
        result, tensors = run_reference(saved, ["x:0"], ["racing:0", "sum:0"])
        assert result.state == "recorded", result.reason
        written.add((tmp_path / "reference.safetensors").read_bytes())
    assert (result.state, result.deterministic) == ("recorded", True)
    assert len(written) == 1
    expected = in_order(numpy.float32(1))
    scale = numpy.abs(expected).max()
    numpy.testing.assert_allclose(tensors["racing:0"], expected, rtol=0, atol=tolerance * scale)
    [warning] = result.warnings
    assert "one thread" in warning
    assert "'racing' (op " in warning


def test_without_such_an_op_nothing_is_told(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [3], name="x")
        compat.add(x, compat.get_variable("weight", [3]), name="sum")

    result, _ = run_reference(save_graph(build), ["x:0"], ["sum:0"])
    assert (result.state, result.warnings) == ("recorded", [])


def glimpse(x):
    """Around a corner, so that some of it lies beside the image."""
    raw.ExtractGlimpse(input=x, size=[9, 9], offsets=numpy.ones((2, 2), "float32"), name="drawn")


def pooled(x):
    raw.FractionalMaxPool(value=x, pooling_ratio=[1.0, 1.3, 1.4, 1.0], name="drawn")


@pytest.mark.parametrize("drawing", [glimpse, pooled], ids=["ExtractGlimpse", "FractionalMaxPool"])
def test_an_op_that_draws_without_saying_so_is_named(save_graph, run_reference, drawing):
    def build():
        x = compat.placeholder("float32", [2, 24, 29, 3], name="x")
        drawing(x * compat.get_variable("weight", [3]))

    result, tensors = run_reference(save_graph(build), ["x:0"], ["drawn:0"])
    assert (result.state, result.deterministic, tensors) == ("absent", False, None)
    assert "is 'drawn' (op " in result.reason


def test_threads_follow_neither_the_cores_nor_an_earlier_session(save_graph, tmp_path):
    """A second reading opens a session before the reference run does."""

    def build():
        # Eigen splits the sum over the rows of such a kernel among its threads.
        x = compat.placeholder("float32", [4, 100000], name="x")
        kernel = compat.get_variable("kernel", [100000, 40])
        compat.matmul(x, kernel, name="out")

    saved = save_graph(build)
    cores = sorted(os.sched_getaffinity(0))
    written = set()
    for reader in ("tf", "both"):
        for number_of_cores in {1, len(cores)}:
            out = tmp_path / f"{reader}-{number_of_cores}"
            out.mkdir()
            job = {"job": "1", "command": "extract", "checkpoint": saved.prefix, "out": str(out)}
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "stage_extract", "--reader", reader],
                input=json.dumps({**job, "options": {"reader": reader}}).encode() + b"\n",
                stdout=subprocess.DEVNULL,
                cwd=str(REPOSITORY),
                check=True,
                preexec_fn=lambda some=cores[:number_of_cores]: os.sched_setaffinity(0, some),
            )
            written.add((out / "reference.safetensors").read_bytes())
    assert len(written) == 1
