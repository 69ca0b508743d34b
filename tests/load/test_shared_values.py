from __future__ import annotations

import pytest

from stage_load.shared_values import read_only


@pytest.mark.parametrize(
    ("values", "is_shared"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"padding": "SAME", "epsilon": 1e-3, "flatten": None}, True, id="plain"),
        pytest.param({"strides": [1, 2]}, False, id="with-a-list"),
        pytest.param({"flatten": {"shape": [None, 3]}}, False, id="with-an-object"),
    ],
)
def test_equal_plain_values_are_one_object(values, is_shared):
    first, second = read_only(values), read_only(dict(values))
    assert first == second == values
    assert (first is second) is is_shared
    with pytest.raises(TypeError):
        first["new"] = 1


def test_equal_numbers_of_other_types_are_kept_apart():
    one, true = read_only({"scale": 1}), read_only({"scale": True})
    assert (one["scale"], true["scale"]) == (1, True)
    assert type(one["scale"]) is int
    assert type(true["scale"]) is bool
