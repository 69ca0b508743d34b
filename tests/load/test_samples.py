"""What is kept of an output for the report, and the pictures made of it."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from stage_load.report_page.pictures import panels
from stage_load.samples import COLOUR, GREY, MASK, MOST_ELEMENTS, MOST_PIXELS, take_sample


def image_of(panel):
    head, _, data = panel.uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def random(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def shares(*shape):
    scores = np.exp(random(*shape))
    return scores / scores.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        pytest.param(random(2, 9, 11, 1), GREY, id="one-channel"),
        pytest.param(random(2, 9, 11, 3), COLOUR, id="three-channels"),
        pytest.param(shares(2, 9, 11, 3), MASK, id="shares-of-three-classes"),
        pytest.param(random(2, 9, 11, 2), MASK, id="scores-of-two-classes"),
        pytest.param(np.ones((2, 9, 11), np.int64), MASK, id="classes-without-channel"),
        pytest.param(np.ones((2, 9, 11, 1), np.int32), MASK, id="classes-with-channel"),
        pytest.param(np.full((2, 9, 11, 1), 200, np.uint8), GREY, id="bytes"),
        pytest.param(np.zeros((2, 9, 11), bool), MASK, id="truth-values"),
        pytest.param(random(2, 9, 11, 65), None, id="features"),
        pytest.param(random(2, 7, 11, 3), None, id="too-small"),
        pytest.param(random(2, 9, 11), None, id="a-sequence"),
        pytest.param(random(2, 5), None, id="scores"),
        pytest.param(random(1, 2, 9, 11, 3), None, id="a-volume"),
    ],
)
def test_what_is_an_image(array, kind):
    sample = take_sample(array, array, channels_first=False)
    assert (None if sample.picture is None else sample.picture.kind) == kind


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param(random(2, 3), random(3, 2), id="other-shape"),
        pytest.param(random(0, 3), random(0, 3), id="empty"),
        pytest.param(random(3).astype(complex), random(3).astype(complex), id="complex"),
    ],
)
def test_of_what_there_is_no_sample(expected, actual):
    assert take_sample(expected, actual, channels_first=False) is None


def test_elements_are_spread_from_the_first_to_the_last():
    expected = np.arange(70_000, dtype=np.float32).reshape(10, 7000)
    sample = take_sample(expected, expected + 0.5, channels_first=False)
    assert len(sample.expected) == MOST_ELEMENTS
    assert (sample.expected[0], sample.expected[-1], sample.size) == (0.0, 69_999.0, 70_000)
    assert np.diff(sample.expected).max() < 40
    np.testing.assert_array_equal(sample.actual, sample.expected + 0.5)


def test_all_of_a_small_output_are_kept():
    sample = take_sample(random(3, 5), random(3, 5), channels_first=False)
    np.testing.assert_array_equal(sample.expected, random(3, 5).reshape(-1).astype(np.float64))


def test_large_images_are_reduced_and_nothing_else_is_kept():
    array = random(2, 1000, 300, 1)
    picture = take_sample(array, array, channels_first=False).picture
    assert picture.step == 4
    np.testing.assert_array_equal(picture.expected, array[0, ::4, ::4, 0])
    assert max(picture.expected.shape) <= MOST_PIXELS
    assert picture.expected.base is None or picture.expected.base.size < array.size


def test_channels_first():
    array = random(2, 3, 9, 11)
    picture = take_sample(array, array, channels_first=True).picture
    assert picture.kind == COLOUR
    np.testing.assert_array_equal(picture.expected, array[0].transpose(1, 2, 0))


def test_a_mask_shows_the_class_with_the_highest_score_and_where_it_differs():
    expected = np.zeros((1, 8, 9, 2), np.float32)
    expected[0, :, :4, 1] = 5.0
    actual = expected.copy()
    actual[0, 2, 1] = (7.0, 5.0)
    drawn = panels(take_sample(expected, actual, channels_first=False).picture)
    tensorflow, torch, difference = (image_of(panel) for panel in drawn.panels)
    assert len({tuple(colour) for colour in tensorflow.reshape(-1, 3)}) == 2
    np.testing.assert_array_equal(np.argwhere((tensorflow != torch).any(axis=-1)), [[2, 1]])
    np.testing.assert_array_equal(np.argwhere(difference.any(axis=-1)), [[2, 1]])
    assert "1 of 72 pixels have another class" in drawn.caption
    assert "white in the difference is 7" in drawn.caption


def test_both_sides_of_an_image_share_one_scale():
    expected = np.zeros((1, 8, 9, 1), np.float32)
    expected[0, 0, 0], expected[0, 7, 8] = -2.0, 2.0
    actual = expected / 2
    drawn = panels(take_sample(expected, actual, channels_first=False).picture)
    tensorflow, torch, _ = (image_of(panel)[..., 0] for panel in drawn.panels)
    assert [tensorflow[0, 0], tensorflow[4, 4], tensorflow[7, 8]] == [0, 128, 255]
    assert [torch[0, 0], torch[4, 4], torch[7, 8]] == [64, 128, 191]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_what_is_no_number_is_drawn(value):
    expected = random(1, 8, 9, 3)
    actual = expected.copy()
    actual[0, 1, 2, 0] = value
    drawn = panels(take_sample(expected, actual, channels_first=False).picture)
    for panel in drawn.panels:
        assert image_of(panel).shape == (8, 9, 3)
        assert panel.in_words
