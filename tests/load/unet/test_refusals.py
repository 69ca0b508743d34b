"""What is no UNet of this family is refused by its first op, in the order of the forward pass."""

from __future__ import annotations

import pytest

from stage_load.errors import ModelDoesNotFit
from stage_load.models.unet.assembling import read_configuration


def residual(graph):
    first = graph.relu(graph.conv(graph.image, 5))
    added = graph.node("Add", [graph.conv(first, 5), graph.conv(graph.image, 5)], 5, "misfit")
    net = graph.up(graph.conv(graph.pool(added), 7))
    return graph.conv(graph.concat(added, net), 2)


def skip_after_pooling(graph):
    first = graph.pool(graph.conv(graph.image, 5))
    second = graph.pool(graph.conv(first, 8))
    net = graph.up(graph.conv(second, 9))
    net = graph.conv(graph.concat(first, net, name="misfit"), 6)
    return graph.conv(graph.concat(graph.image, graph.up(net)), 2)


def skip_before_the_first_convolution(graph):
    net = graph.up(graph.conv(graph.pool(graph.conv(graph.image, 5)), 7))
    return graph.conv(graph.concat(graph.image, net, name="misfit"), 2)


def skip_from_inside_the_block(graph):
    inside = graph.relu(graph.conv(graph.image, 5))
    net = graph.up(graph.conv(graph.pool(graph.conv(inside, 6)), 7))
    return graph.conv(graph.concat(inside, net, name="misfit"), 2)


def convolution_on_the_skip(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    return graph.conv(graph.concat(graph.conv(skip, 4), net, name="misfit"), 2)


def skips_in_the_wrong_order(graph):
    first = graph.conv(graph.image, 5)
    second = graph.conv(graph.pool(first), 8)
    net = graph.conv(graph.pool(second), 9)
    size = graph.const([24, 32])
    net = graph.node("ResizeNearestNeighbor", [net, size], 9)
    return graph.conv(graph.concat(first, net, name="never"), 2)


def added_skip(graph):
    skip = graph.conv(graph.image, 7)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    return graph.conv(graph.node("AddV2", [net, skip], 7, "misfit"), 2)


def gate_on_the_skip(graph):
    skip = graph.conv(graph.image, 7)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    gate = graph.node("Sigmoid", [graph.conv(net, 7)], 7)
    gated = graph.node("Mul", [skip, gate], 7, "misfit")
    return graph.conv(graph.concat(gated, net), 2)


def no_skips(graph):
    net = graph.pool(graph.pool(graph.conv(graph.image, 5)))
    net = graph.up(graph.conv(net, 7))
    size = graph.size_of(net, 2)
    net = graph.node("ResizeNearestNeighbor", [graph.conv(net, 6), size], 6, "misfit")
    return graph.conv(net, 2)


def ends_on_an_up_sampling(graph):
    net = graph.up(graph.conv(graph.pool(graph.conv(graph.image, 5)), 7))
    return graph.node("Sigmoid", [graph.conv(net, 2)], 2, "misfit")


def no_pooling(graph):
    return graph.node("Relu", [graph.conv(graph.conv(graph.image, 5), 2)], 2, "misfit")


def more_poolings_than_skips(graph):
    first = graph.pool(graph.conv(graph.image, 5))
    skip = graph.conv(first, 6)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    net = graph.conv(graph.concat(skip, net), 2)
    return graph.node("Softmax", [net], 2, "misfit")


def up_sampled_too_often(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    net = graph.conv(graph.concat(skip, net), 6)
    size = graph.size_of(net, 2)
    return graph.conv(graph.node("ResizeNearestNeighbor", [net, size], 6, "misfit"), 2)


def three_maps_joined(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    return graph.conv(graph.concat(skip, net, skip, name="misfit"), 2)


def joined_along_the_height(graph):
    skip = graph.conv(graph.image, 7)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    return graph.conv(graph.concat(skip, net, axis=1, name="misfit"), 2)


def dense_layer_after_the_scores(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    flat = graph.node("Reshape", [graph.conv(graph.concat(skip, net), 2)], 2)
    return graph.node("MatMul", [flat, graph.const([[1.0]])], 2, "misfit")


def dense_layer(graph):
    flat = graph.node("Reshape", [graph.conv(graph.image, 5), graph.const([-1, 3840])], 5, "misfit")
    return graph.node("MatMul", [flat, graph.const([[1.0]])], 2)


def unknown_op(graph):
    net = graph.node("LRN", [graph.conv(graph.image, 5)], 5, "misfit")
    return graph.conv(net, 2)


def batch_statistics(graph):
    net = graph.conv(graph.image, 5)
    net = graph.batch_norm(net, ("gamma", "beta"), is_training=True)
    graph.nodes[-1]["name"] = graph.layers[-1]["op"] = "misfit"
    graph.layers[-1]["output"] = graph.layers[-1]["op_output"] = "misfit:0"
    graph.channels["misfit:0"] = 5
    return graph.conv("misfit:0", 2)


def multiplied_by_a_vector(graph):
    net = graph.node("Mul", [graph.image, graph.const([0.1, 0.2, 0.3, 0.4])], 3, "misfit")
    return graph.conv(net, 2)


def random_size(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.conv(graph.pool(skip), 7)
    size = graph.node("RandomUniformInt", [], name="misfit")
    net = graph.node("ResizeNearestNeighbor", [net, size], 7)
    return graph.conv(graph.concat(skip, net), 2)


@pytest.mark.parametrize(
    "build",
    [
        residual,
        skip_after_pooling,
        skip_before_the_first_convolution,
        skip_from_inside_the_block,
        convolution_on_the_skip,
        added_skip,
        gate_on_the_skip,
        no_skips,
        ends_on_an_up_sampling,
        no_pooling,
        more_poolings_than_skips,
        up_sampled_too_often,
        three_maps_joined,
        joined_along_the_height,
        dense_layer_after_the_scores,
        dense_layer,
        unknown_op,
        batch_statistics,
        multiplied_by_a_vector,
        random_size,
    ],
    ids=lambda build: build.__name__,
)
def test_first_misfit_is_named(new_graph, build):
    graph = new_graph()
    with pytest.raises(ModelDoesNotFit) as refusal:
        read_configuration(graph.view(build(graph)))
    assert "first op that does not fit is 'misfit' (" in refusal.value.happened
    assert refusal.value.expected.startswith("Expected there: ")
    assert "--model file.py:Factory" in refusal.value.remedy


def test_resize_over_two_levels(new_graph):
    graph = new_graph()
    with pytest.raises(ModelDoesNotFit, match=r"ResizeNearestNeighbor|ConcatV2"):
        read_configuration(graph.view(skips_in_the_wrong_order(graph)))


def test_two_results(new_graph):
    graph = new_graph()
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    net = graph.conv(graph.concat(skip, net), 6)
    left, right = graph.conv(net, 2), graph.conv(net, 3)
    with pytest.raises(ModelDoesNotFit, match="second output"):
        read_configuration(graph.view(left, right))


def test_scores_and_probabilities_are_one_result(new_graph):
    graph = new_graph()
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    scores = graph.conv(graph.concat(skip, net), 2)
    probabilities = graph.node("Softmax", [scores], 2, "p")
    assert read_configuration(graph.view(scores, probabilities)).tf1_output == "p:0"


def test_two_images(new_graph):
    graph = new_graph()
    document = graph.document(residual(graph))
    document["inputs"].append({**document["inputs"][0], "tensor": "other:0"})
    view = graph.view()
    view.__init__(document)
    with pytest.raises(ModelDoesNotFit, match="2 inputs"):
        read_configuration(view)


def complete(graph):
    skip = graph.conv(graph.image, 5)
    net = graph.up(graph.conv(graph.pool(skip), 7))
    return graph.node("Sigmoid", [graph.conv(graph.concat(skip, net), 3)], 3, "mask")


def masked_input(graph):
    return graph.node("Mul", [complete(graph), graph.image], 3)


def masked_input_without_channels(graph):
    squeezed = graph.node("Squeeze", [complete(graph)], 3)
    return graph.node("Mul", [squeezed, graph.image], 3)


def added_input(graph):
    return graph.node("AddV2", [graph.image, complete(graph)], 3)


@pytest.mark.parametrize("build", [masked_input, masked_input_without_channels, added_input])
def test_what_stands_behind_a_complete_network_can_be_left_out(new_graph, build):
    graph = new_graph()
    with pytest.raises(ModelDoesNotFit) as refusal:
        read_configuration(graph.view(build(graph)))
    assert "'--outputs mask:0'" in refusal.value.remedy


def test_what_stands_before_the_network_can_be_left_out(new_graph):
    graph = new_graph()
    image = graph.node("ReverseV2", [graph.image, graph.const([3])], 3, "swapped")
    graph.conv(image, 5)
    with pytest.raises(ModelDoesNotFit, match=r"'swapped' \(ReverseV2\)") as refusal:
        read_configuration(graph.view("BiasAdd_6:0"))
    assert "'--inputs swapped:0'" in refusal.value.remedy


def test_an_op_inside_the_network_cannot_be_left_out(new_graph):
    graph = new_graph()
    with pytest.raises(ModelDoesNotFit) as refusal:
        read_configuration(graph.view(unknown_op(graph)))
    assert "puts" not in refusal.value.remedy
