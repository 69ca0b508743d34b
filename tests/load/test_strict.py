"""The one error that lists everything that does not fit."""

from __future__ import annotations

import pytest

from stage_load.errors import TensorsDoNotFit
from tests.load.export_maker import ExportMaker
from tests.load.plans import planned, torch_model, unit, zeros


def lines_of(maker, model):
    with pytest.raises(TensorsDoNotFit) as error:
        planned(maker, model)
    return error.value.happened.splitlines()


def test_groups_are_sorted_by_name():
    maker = ExportMaker()
    for name in ("zeta", "alpha"):
        maker.layer("dense", name, {"kernel": zeros(3, 4)})
    model = torch_model(*(unit(n, "conv2d", weight=(5, 2, 3, 3)) for n in ("omega", "beta")))
    assert lines_of(maker, model) == [
        "The checkpoint does not fit the model: 2 missing in the checkpoint, "
        "2 unexpected in the checkpoint.",
        "Missing in the checkpoint:",
        "  beta.weight [5, 2, 3, 3]; nearest: alpha/kernel [4, 3], zeta/kernel [4, 3]",
        "  omega.weight [5, 2, 3, 3]; nearest: alpha/kernel [4, 3], zeta/kernel [4, 3]",
        "Unexpected in the checkpoint:",
        "  alpha/kernel [3, 4]; nearest: beta.weight [5, 2, 3, 3], omega.weight [5, 2, 3, 3]",
        "  zeta/kernel [3, 4]; nearest: beta.weight [5, 2, 3, 3], omega.weight [5, 2, 3, 3]",
    ]


def test_a_candidate_of_equal_shape_comes_before_one_of_a_like_name():
    maker = ExportMaker()
    maker.layer("dense", "up/out", {"kernel": zeros(3, 4)})
    maker.layer("dense", "down", {"kernel": zeros(9, 2)})
    model = torch_model(
        unit("up.out", "conv2d", weight=(2, 9)), unit("elsewhere", "conv2d", weight=(4, 3))
    )
    assert lines_of(maker, model)[2:4] == [
        "  elsewhere.weight [4, 3]; nearest: up/out/kernel [4, 3]",
        "  up.out.weight [2, 9]; nearest: down/kernel [2, 9]",
    ]


def test_a_shape_that_differs_is_one_misfit_and_not_two():
    maker = ExportMaker()
    maker.layer("conv2d", "a", {"kernel": zeros(3, 3, 2, 5)})
    model = torch_model(unit("a", "conv2d", weight=(7, 2, 3, 3)))
    assert lines_of(maker, model) == [
        "The checkpoint does not fit the model: 1 misshapen.",
        "Misshapen:",
        "  a.weight [7, 2, 3, 3] from a/kernel [3, 3, 2, 5], which HWIO->OIHW makes [5, 2, 3, 3]",
    ]


def test_the_error_lists_ten_thousand_tensors():
    """Every one of them, with near names, without comparing each with each."""
    maker = ExportMaker()
    count = 5_000
    for index in range(count):
        maker.layer("dense", f"block{index}/dense", {"kernel": zeros(2, 3)})
    model = torch_model(
        *(
            unit(f"block.{index}.conv", "conv2d_transpose", weight=(3, 2, 1, 1))
            for index in range(count)
        )
    )
    lines = lines_of(maker, model)
    assert len(lines) == 1 + 2 * (1 + count)
    assert any("block4999/dense/kernel [2, 3]; nearest: block.4999.conv" in line for line in lines)


def test_a_partial_checkpoint_is_told_with_what_to_do():
    maker = ExportMaker()
    maker.layer("dense", "there", {"kernel": zeros(3, 4)})
    maker.missing = [
        {"variable": "gone/kernel", "dtype": "float32", "shape": [4, 5], "reason": "not saved"}
    ]
    model = torch_model(unit("there", "dense", weight=(4, 3)), unit("gone", "dense", weight=(5, 4)))
    assert lines_of(maker, model)[-1] == (
        "The checkpoint holds only a part of its own graph's variables; it lacks 'gone/kernel'. "
        "--allow-missing leaves their tensors as initialised."
    )
