"""Graphs of layout NCHW run on a CPU, and give what the same graph in NHWC gives."""

from __future__ import annotations

from typing import Any, Callable, Dict, Sequence

import numpy
import pytest
import tensorflow

compat = tensorflow.compat.v1


class Layout:
    """Lays the sizes of images out, channels first or last.

    Args:
        is_first: channels come behind the batch.
        axes: number of axes, the batch's and the channels' included.
    """

    def __init__(self, is_first: bool, axes: int) -> None:
        self.is_first = is_first
        self.name = {4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}[axes][is_first]
        self.channels = 1 if is_first else axes - 1

    def of(self, sizes: Sequence[Any]) -> Any:
        """Give sizes (batch, channels, then the image) in this layout."""
        batch, channels, *image = sizes
        return [batch, channels, *image] if self.is_first else [batch, *image, channels]


def weights(name: str, *sizes: int) -> Any:
    return compat.get_variable(name, sizes)


def convolution(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 3, 5)
    return compat.nn.conv2d(
        x,
        kernel,
        strides=layout.of([1, 1, 2, 1]),
        padding="SAME",
        data_format=layout.name,
        dilations=layout.of([1, 1, 1, 3]),
    )


def stated_padding(x: Any, layout: Layout) -> Any:
    padding = layout.of([[0, 0], [0, 0], [2, 1], [0, 3]])
    kernel = weights("kernel", 3, 2, 3, 5)
    return tensorflow.nn.conv2d(x, kernel, [1] * 4, padding, data_format=layout.name)


def depthwise(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 3, 2)
    return compat.nn.depthwise_conv2d_native(
        x, kernel, layout.of([1, 1, 2, 2]), "VALID", layout.name
    )


def transposed(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 5, 3)
    sizes = layout.of([2, 5, 14, 24])
    strides = layout.of([1, 1, 2, 3])
    return compat.nn.conv2d_transpose(x, kernel, sizes, strides, data_format=layout.name)


def transposed_of_any_size(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 5, 3)
    batch, _, height, width = (compat.shape(x)[axis] for axis in layout_axes(layout))
    sizes = compat.stack(layout.of([batch, 5, height * 2, width * 3]))
    strides = layout.of([1, 1, 2, 3])
    return compat.nn.conv2d_transpose(x, kernel, sizes, strides, data_format=layout.name)


def layout_axes(layout: Layout) -> Sequence[int]:
    return (0, 1, 2, 3) if layout.is_first else (0, 3, 1, 2)


def pools(x: Any, layout: Layout) -> Any:
    window, strides = layout.of([1, 1, 3, 2]), layout.of([1, 1, 1, 2])
    largest = compat.nn.max_pool(x, window, strides, "SAME", layout.name)
    return compat.nn.avg_pool(largest, layout.of([1, 1, 2, 3]), strides, "VALID", layout.name)


def pool_with_a_window_from_the_graph(x: Any, layout: Layout) -> Any:
    window, strides = layout.of([1, 1, 3, 2]), layout.of([1, 1, 1, 2])
    return tensorflow.raw_ops.MaxPoolV2(
        input=x, ksize=window, strides=strides, padding="VALID", data_format=layout.name
    )


def batch_norm(x: Any, layout: Layout) -> Any:
    gamma, beta, mean, deviation = (weights(name, 3) for name in ("gamma", "beta", "mean", "sd"))
    return compat.nn.fused_batch_norm(
        x, gamma, beta, mean, deviation**2, is_training=False, data_format=layout.name
    )[0]


def statistics_of_the_batch(x: Any, layout: Layout) -> Any:
    """The mean and the variance have one axis, and are read as well."""
    normed, mean, variance = compat.nn.fused_batch_norm(
        x, weights("gamma", 3), weights("beta", 3), is_training=True, data_format=layout.name
    )
    spread = compat.reshape(mean * variance, layout.of([1, 3, 1, 1]))
    return normed + spread


def bias(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 1, 1, 3, 5)
    made = compat.nn.conv2d(x, kernel, [1] * 4, "SAME", data_format=layout.name)
    return compat.nn.bias_add(made, weights("bias", 5), layout.name)


def blocks(x: Any, layout: Layout) -> Any:
    smaller = compat.space_to_depth(x, 2, data_format=layout.name)
    kernel = weights("kernel", 1, 1, 12, 8)
    made = compat.nn.conv2d(smaller, kernel, [1] * 4, "SAME", data_format=layout.name)
    return compat.depth_to_space(made, 2, data_format=layout.name)


def in_a_loop(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 3, 3)

    def step(turn: Any, image: Any) -> Any:
        made = compat.nn.conv2d(image, kernel, [1] * 4, "SAME", data_format=layout.name)
        return turn + 1, compat.tanh(made)

    return compat.while_loop(lambda turn, _: turn < 2, step, [0, x])[1]


def in_branches(x: Any, layout: Layout) -> Any:
    kernel = weights("kernel", 3, 2, 3, 3)

    def made() -> Any:
        return compat.nn.conv2d(x, kernel, [1] * 4, "SAME", data_format=layout.name)

    return compat.cond(compat.reduce_sum(x) > 1e9, lambda: x, made)


def convolution_3d(x: Any, layout: Layout) -> Any:
    strides = layout.of([1, 1, 1, 2, 1])
    kernel = weights("kernel", 2, 3, 2, 3, 5)
    made = compat.nn.conv3d(x, kernel, strides=strides, padding="SAME", data_format=layout.name)
    window = layout.of([1, 1, 2, 1, 2])
    return compat.nn.max_pool3d(made, window, window, "VALID", layout.name)


def transposed_3d(x: Any, layout: Layout) -> Any:
    sizes = layout.of([2, 5, 4, 14, 24])
    strides = layout.of([1, 1, 1, 2, 3])
    kernel = weights("kernel", 2, 3, 2, 5, 3)
    return compat.nn.conv3d_transpose(x, kernel, sizes, strides, data_format=layout.name)


SIZES = {4: [2, 3, 7, 8], 5: [2, 3, 4, 7, 8]}


def built(build: Callable[[Any, Layout], Any], is_first: bool, axes: int) -> Callable[[], None]:
    def graph() -> None:
        layout = Layout(is_first, axes)
        sizes = [2, 3, 8, 6] if build is blocks else SIZES[axes]
        x = compat.placeholder("float32", layout.of(sizes), name="x")
        compat.multiply(build(x, layout), weights("scale"), name="out")

    return graph


@pytest.mark.parametrize(
    ("build", "axes", "turned"),
    [
        pytest.param(convolution, 4, 1, id="convolution"),
        pytest.param(stated_padding, 4, 1, id="stated-padding"),
        pytest.param(depthwise, 4, 1, id="depthwise"),
        pytest.param(transposed, 4, 1, id="transposed"),
        pytest.param(transposed_of_any_size, 4, 1, id="transposed-of-any-size"),
        pytest.param(pools, 4, 2, id="pools"),
        pytest.param(pool_with_a_window_from_the_graph, 4, 1, id="window-from-the-graph"),
        pytest.param(batch_norm, 4, 1, id="batch-norm"),
        pytest.param(statistics_of_the_batch, 4, 1, id="statistics-of-the-batch"),
        pytest.param(bias, 4, 1, id="bias"),
        pytest.param(blocks, 4, 3, id="blocks"),
        pytest.param(in_a_loop, 4, 1, id="in-a-loop"),
        pytest.param(in_branches, 4, 1, id="in-branches"),
        pytest.param(convolution_3d, 5, 2, id="convolution-3d"),
        pytest.param(transposed_3d, 5, 1, id="transposed-3d"),
    ],
)
def test_values(
    save_graph: Any,
    run_reference: Any,
    build: Callable[[Any, Layout], Any],
    axes: int,
    turned: int,
) -> None:
    saved = save_graph(built(build, True, axes))
    result, tensors = run_reference(saved, ["x:0"], ["out:0"])
    assert (result.state, result.reason) == ("recorded", None)
    [warning] = result.warnings
    assert f"computes {turned} ops of layout NCHW as NHWC" in warning
    to_last = [0, *range(2, axes), 1]
    expected = last_as_it_is(built(build, False, axes), saved.values, tensors["x:0"], to_last)
    assert numpy.abs(expected).max() > 1e-3
    numpy.testing.assert_array_equal(tensors["out:0"].transpose(to_last), expected)


def last_as_it_is(
    build: Callable[[], None], values: Dict[str, Any], x: Any, to_last: Sequence[int]
) -> Any:
    """Compute the same graph, built with its channels last."""
    portable = compat.ConfigProto(intra_op_parallelism_threads=8, use_per_session_threads=True)
    with compat.Graph().as_default() as graph, compat.Session(config=portable) as session:
        build()
        for variable in compat.global_variables():
            variable.load(values[variable.op.name], session)
        return session.run(
            graph.get_tensor_by_name("out:0"),
            {graph.get_tensor_by_name("x:0"): x.transpose(to_last)},
        )


def test_a_layers_tensor_keeps_its_name_and_axes(save_graph: Any, run_reference: Any) -> None:
    def build() -> None:
        x = compat.placeholder("float32", [2, 3, 7, 8], name="x")
        kernel = weights("kernel", 1, 1, 3, 5)
        made = compat.nn.conv2d(x, kernel, [1] * 4, "SAME", data_format="NCHW", name="conv")
        compat.reduce_sum(made, [2, 3], name="out")

    saved = save_graph(build)
    _, tensors = run_reference(saved, ["x:0"], ["out:0"], layers=["conv:0"])
    kernel = saved.values["kernel"][0, 0]
    expected = numpy.einsum("nihw,io->nohw", tensors["x:0"], kernel)
    numpy.testing.assert_allclose(tensors["conv:0"], expected, rtol=1e-4, atol=1e-5)
