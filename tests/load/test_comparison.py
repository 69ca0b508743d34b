from __future__ import annotations

import numpy as np
import pytest

from stage_load import comparison
from stage_load.comparison import compare

NAN, INF = np.nan, np.inf


def array(*values, dtype=np.float32):
    return np.array(values, dtype)


@pytest.mark.parametrize(
    ("expected", "actual", "agrees", "reason"),
    [
        pytest.param(array(1, -4), array(1, -4), True, None, id="equal"),
        pytest.param(array(1, -4), array(1.0003, -4), True, None, id="within-the-scale"),
        pytest.param(array(1, -4), array(1.0005, -4), False, "0.000125 of the scale", id="beyond"),
        pytest.param(array(NAN, 1), array(NAN, 1), True, None, id="nan-at-the-same-place"),
        pytest.param(array(NAN, 1), array(0, 1), False, "different places", id="nan-in-tensorflow"),
        pytest.param(array(0, 1), array(NAN, 1), False, "different places", id="nan-in-torch"),
        pytest.param(array(1, NAN), array(NAN, 1), False, "different places", id="nan-elsewhere"),
        pytest.param(array(INF, 1), array(INF, 1), True, None, id="infinity"),
        pytest.param(array(INF, 1), array(-INF, 1), False, "different places", id="other-infinity"),
        pytest.param(array(INF, 1), array(NAN, 1), False, "different places", id="infinity-nan"),
        pytest.param(
            array(INF, 1), array(3e38, 1), False, "different places", id="infinity-finite"
        ),
        pytest.param(array(NAN, NAN), array(NAN, NAN), True, "zero everywhere", id="only-nan"),
        pytest.param(array(0, 0), array(0, 0), True, "zero everywhere", id="zero"),
        pytest.param(array(0, 0), array(0, 5e-5), True, "zero everywhere", id="nearly-zero"),
        pytest.param(array(0, 0), array(0, 1), False, "1 absolute", id="not-zero"),
        pytest.param(array(1e-30, 2e-30), array(1e-30, 3e-30), False, "scale", id="tiny-numbers"),
        pytest.param(
            array(1, 2), array(1, 2, 3), False, r"shape \[3\] in torch, \[2\]", id="shape"
        ),
        pytest.param(
            array(1, 2, dtype=np.int64), array(1, 2, dtype=np.int32), True, "exactly", id="whole"
        ),
        pytest.param(
            array(1, 200000, dtype=np.int64),
            array(1, 200001, dtype=np.int64),
            False,
            "1 of 2 whole numbers",
            id="whole-differ",
        ),
        pytest.param(
            array(True, False, dtype=bool),
            array(True, True, dtype=bool),
            False,
            "1 of 2",
            id="bool",
        ),
        pytest.param(
            array(1 + 2j, dtype=np.complex64),
            array(1 + 3j, dtype=np.complex64),
            False,
            "scale",
            id="complex",
        ),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 3)), True, "both are empty", id="empty"),
        pytest.param(np.float32(2), np.float32(2), True, None, id="scalar"),
    ],
)
def test_verdict(expected, actual, agrees, reason):
    found = compare(np.asarray(expected), np.asarray(actual), 1e-4)
    assert found.agrees is agrees
    if reason is None:
        assert found.reason is None
    else:
        import re

        assert re.search(reason, found.reason)


def test_numbers():
    expected = np.array([[1.0, -2.0, 0.5], [8.0, NAN, 3.0]], np.float32)
    actual = np.array([[1.0, -2.5, 0.5], [8.25, NAN, 3.0]], np.float32)
    found = compare(expected, actual, 1e-4)
    assert (found.max_abs, found.scale, found.max_rel) == (0.5, 8.0, 0.0625)
    assert (found.index, found.expected, found.actual) == ((0, 1), -2.0, -2.5)
    assert found.non_finite == 1
    a, b = np.array([1, -2, 0.5, 8, 3]), np.array([1, -2.5, 0.5, 8.25, 3])
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)


def test_the_first_misplaced_element_is_named():
    expected = np.zeros((2, 3, 4), np.float32)
    actual = expected.copy()
    actual[1, 0, 2] = NAN
    actual[1, 2, 3] = INF
    found = compare(expected, actual)
    assert found.index == (1, 0, 2)
    assert found.expected == 0.0
    assert np.isnan(found.actual)


def test_pieces_make_no_difference(monkeypatch):
    random = np.random.default_rng(3)
    expected = random.normal(size=(7, 11)).astype(np.float32)
    actual = expected + random.normal(size=(7, 11)).astype(np.float32) * np.float32(1e-3)
    whole = compare(expected, actual)
    monkeypatch.setattr(comparison, "_PIECE", 10)
    pieces = compare(expected, actual)
    assert (pieces.index, pieces.max_abs, pieces.scale) == (whole.index, whole.max_abs, whole.scale)
    assert pieces.cosine == pytest.approx(whole.cosine, abs=1e-12)


def test_a_plain_maximum_would_pass_nan():
    """Why finiteness comes first: Python's own ``max`` loses NaN."""
    assert max([0.0, NAN]) == 0.0
    assert not compare(array(0.0, 0.0), array(0.0, NAN)).agrees
