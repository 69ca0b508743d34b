"""Which rule a kind of operation gives, what it does to a shape, and what is refused and why."""

from __future__ import annotations

import numpy as np
import pytest

from stage_load.layouts.registry import find_rule
from stage_load.layouts.rule import AS_IS, Rule, RuleError


@pytest.mark.parametrize(
    ("kind", "role", "axes", "attributes", "shape", "expected", "text"),
    [
        pytest.param(
            "conv2d", "kernel", "HWIO", {}, (2, 3, 4, 5), (5, 4, 2, 3), "HWIO->OIHW", id="conv2d"
        ),
        pytest.param(
            "depthwise_conv2d",
            "kernel",
            "HWCM",
            {},
            (2, 3, 4, 5),
            (20, 1, 2, 3),
            "HWCM->(CM)1HW",
            id="depthwise",
        ),
        pytest.param(
            "conv2d_transpose",
            "kernel",
            "HWOI",
            {},
            (2, 3, 4, 5),
            (5, 4, 2, 3),
            "HWOI->IOHW",
            id="conv2d-transpose",
        ),
        pytest.param("dense", "kernel", "IO", {}, (2, 3), (3, 2), "IO->OI", id="dense"),
        pytest.param("dense", "kernel", "OI", {}, (2, 3), (2, 3), "OI->OI", id="dense-transpose-b"),
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, 2, 3, 4], "data_format": "NHWC"}},
            (24, 5),
            (5, 24),
            "(HWC)O->O(CHW) H=2 W=3 C=4",
            id="dense-after-flatten",
        ),
        pytest.param(
            "dense",
            "kernel",
            "OI",
            {"flatten": {"shape": [None, 2, 3, 4], "data_format": "NHWC"}},
            (5, 24),
            (5, 24),
            "O(HWC)->O(CHW) H=2 W=3 C=4",
            id="dense-after-flatten-transpose-b",
        ),
        # One unknown size follows from the number of rows.
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, None, 3, 4], "data_format": "NHWC"}},
            (24, 5),
            (5, 24),
            "(HWC)O->O(CHW) W=3 C=4",
            id="dense-after-flatten-one-size-unknown",
        ),
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, 4, 2, 3], "data_format": "NCHW"}},
            (24, 5),
            (5, 24),
            "IO->OI",
            id="dense-after-nchw-flatten",
        ),
        # A flattened sequence (N, T, D) keeps its axes in torch.
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, 6, 4], "data_format": "NHWC"}},
            (24, 5),
            (5, 24),
            "IO->OI",
            id="dense-after-flatten-of-a-sequence",
        ),
        pytest.param("conv2d", "bias", "C", {}, (5,), (5,), "C->C", id="bias"),
        pytest.param(
            "batch_norm", "gamma", "111C", {}, (1, 1, 1, 5), (5,), "111C->C", id="gamma-4d"
        ),
        pytest.param(
            "batch_norm", "beta", "1C11", {}, (1, 5, 1, 1), (5,), "1C11->C", id="beta-nchw"
        ),
        pytest.param("embedding", "embedding", "VD", {}, (7, 3), (7, 3), "VD->VD", id="embedding"),
        pytest.param("other", None, None, {}, (7,), (7,), "as is", id="other-vector"),
        pytest.param("other", None, None, {}, (), (), "as is", id="other-scalar"),
    ],
)
def test_rule(kind, role, axes, attributes, shape, expected, text):
    rule = find_rule(kind, role, axes, attributes, len(shape))
    assert rule.target_shape(shape) == expected
    assert str(rule) == text


@pytest.mark.parametrize(
    ("kind", "role", "axes", "attributes", "shape", "message"),
    [
        pytest.param("other", None, None, {}, (3, 4), "not known", id="other-matrix"),
        pytest.param("conv3d", "kernel", "HWIO", {}, (2, 3, 4, 5), "no row", id="axes-of-others"),
        pytest.param("mystery", None, None, {}, (3, 4), "'mystery' is not known", id="unheard-of"),
        pytest.param("conv2d", "kernel", None, {}, (2, 3, 4, 5), "no row", id="axes-unknown"),
        pytest.param("conv2d", "kernel", "HWIO", {}, (2, 3, 4), "wants 4 axes", id="rank"),
        pytest.param("batch_norm", "gamma", "1C", {}, (2, 5), "axis of size 1", id="not-one"),
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, 2, 3, 4], "data_format": "NHWC"}},
            (25, 5),
            "does not split an axis of size 25",
            id="flatten-of-other-size",
        ),
        pytest.param(
            "dense",
            "kernel",
            "IO",
            {"flatten": {"shape": [None, None, None, 4], "data_format": "NHWC"}},
            (24, 5),
            "does not split an axis of size 24",
            id="flatten-two-sizes-unknown",
        ),
    ],
)
def test_refusal(kind, role, axes, attributes, shape, message):
    with pytest.raises(RuleError, match=message):
        find_rule(kind, role, axes, attributes, len(shape)).target_shape(shape)


def test_a_recipe_needs_no_third_array():
    """Writing into a view of the target is the same as permuting and reshaping."""
    array = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    rule = Rule("HWCM", "(CM)1HW")
    recipe = rule.recipe(array.shape)
    target = np.zeros(recipe.target_shape, np.float32)
    target.reshape(recipe.target_view)[...] = array.reshape(recipe.source_view).transpose(
        recipe.permutation
    )
    np.testing.assert_array_equal(target, rule.apply(array))
    assert target[2 * 5 + 3, 0, 1, 2] == array[1, 2, 2, 3]


@pytest.mark.parametrize(
    ("rule", "shape", "expected"),
    [
        pytest.param(Rule("HWIO", "OIHW"), (2, 3, 4, 5), False, id="permuted"),
        pytest.param(Rule("HWIO", "OIHW"), (1, 1, 1, 5), True, id="only-one-axis-moves"),
        pytest.param(Rule("111C", "C"), (1, 1, 1, 5), True, id="squeezed"),
        pytest.param(AS_IS, (2, 3), True, id="as-is"),
    ],
)
def test_is_copy(rule, shape, expected):
    assert rule.recipe(shape).is_copy is expected
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert (rule.apply(array).tobytes() == array.tobytes()) is expected
