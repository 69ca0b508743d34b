"""Rules that take part of a variable, reorder, add, and fill part of a torch tensor."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from stage_load.layouts.rule import Constant, Part, Rule, RuleError, Skip
from stage_load.layouts.rule_text import parse_rule
from stage_load.mapping import FROM_MAP, Row
from stage_load.part_check import part_misfit, partly_filled, partly_used
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import fill_tensors
from tests.load.export_maker import write_safetensors

RNG = np.random.default_rng(0)


def lstm_input_rows(kernel):
    """The first 3 rows of [3 + 5, 4 x 5], gates i, j, f, o turned into i, f, j, o."""
    gates = np.split(kernel[:3], 4, axis=1)
    return np.concatenate([gates[k].T for k in (0, 2, 1, 3)])


def forget_bias(bias):
    i, j, f, o = np.split(bias, 4)
    return np.concatenate([i, f + 1, j, o])


CASES = [
    pytest.param(
        "I(GU)->(GU)I I=0:3 G=0,2,1,3", (8, 20), (20, 3), lstm_input_rows, id="range-and-order"
    ),
    pytest.param("(GU)->(GU) G=0,2,1,3 G+=0,1,0,0", (20,), (20,), forget_bias, id="added"),
    pytest.param("C->C C=2:5", (7,), (3,), lambda x: x[2:5], id="range"),
    pytest.param(
        "C->C C+=0.5,-1,0", (3,), (3,), lambda x: x + np.float32([0.5, -1, 0]), id="added-to-vector"
    ),
    pytest.param("IO->OI O=2,0,1", (4, 3), (3, 4), lambda x: x.T[[2, 0, 1]], id="order-of-an-axis"),
    pytest.param(
        "B(GU)->(BGU) B=1:2 G=1,0,2",
        (2, 6),
        (6,),
        lambda x: x[1].reshape(3, 2)[[1, 0, 2]].reshape(-1),
        id="one-row",
    ),
    pytest.param(
        "HWIO->OIHW @5:10",
        (2, 3, 4, 5),
        (5, 4, 2, 3),
        lambda x: x.transpose(3, 2, 0, 1),
        id="part-of-the-target",
    ),
    pytest.param("as is @:,3:6", (2, 3), (2, 3), lambda x: x, id="as-is-part"),
]


@pytest.mark.parametrize(("text", "shape", "target_shape", "expected"), CASES)
def test_what_a_rule_with_parts_makes(text, shape, target_shape, expected, tmp_path: Path):
    rule = parse_rule(text)
    assert isinstance(rule, Rule)
    assert str(rule) == text
    assert rule.target_shape(shape) == target_shape
    array = RNG.normal(size=shape).astype(np.float32)
    wanted = np.asarray(expected(array), np.float32)
    np.testing.assert_array_equal(rule.apply(array), wanted)
    # The same from a file into a larger tensor, whose other elements stay.
    write_safetensors(tmp_path / "v.safetensors", {"v": array})
    box = tuple(
        r or (0, n)
        for r, n in zip(
            (*rule.part.ranges, *[None] * len(target_shape)), target_shape, strict=False
        )
    )
    target = torch.full([end for _, end in box], 7.0)
    with SafetensorsReader(tmp_path / "v.safetensors") as reader:
        row = Row("v", "t", rule, shape, tuple(target.shape), FROM_MAP)
        fill_tensors({"t": target}, [row], reader, lambda row, tensor: None)
    part = target[tuple(slice(*r) for r in box)]
    np.testing.assert_array_equal(part.numpy(), wanted)
    assert int((target == 7.0).sum()) == target.numel() - wanted.size


@pytest.mark.parametrize(
    "text", ["constant 0.0 @0:32", "constant [1.0, 2.0] @:,0:2", "skip @3:5", "skip @:,3:5"]
)
def test_other_rules_with_a_part_are_read_as_they_are_written(text):
    assert str(parse_rule(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("IO->OI X=0:3", "there is no axis X", id="unknown-axis"),
        pytest.param("IO->OI I=3:3", "the range is empty", id="empty-range"),
        pytest.param("IO->OI I=0,2", "does not name every index", id="order-with-a-gap"),
        pytest.param("IO->OI I=0,1,1", "does not name every index", id="order-twice"),
        pytest.param("IO->OI O+=1,x", "is no size", id="no-number"),
        pytest.param("IO->OI O+=1,e", "something else than numbers", id="not-quite-a-number"),
        pytest.param("IO->OI O=0,1 O+=1,2,3", "differ in length", id="lengths"),
        pytest.param("IO->OI I=0:2 I=2:4", "says again", id="range-twice"),
        pytest.param("IO->OI @0:2 @0:3", "says again", id="part-twice"),
        pytest.param("IO->OI @2", "no part of a tensor", id="part-of-one-number"),
        pytest.param("as is @5:2", "the range is empty", id="part-empty"),
        pytest.param("kept @0:2", "is no rule", id="part-of-kept"),
    ],
)
def test_a_text_that_is_no_rule_is_refused(text, message):
    with pytest.raises(RuleError, match=message):
        parse_rule(text)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        pytest.param("IO->OI I=0:9", (4, 3), "reaches from 0 to 9", id="range-too-long"),
        pytest.param("(AB)O->O(AB) A=0:1 B=2", (4, 3), "is no axis", id="range-in-brackets"),
        pytest.param("IO->OI O=0,1", (4, 3), "gives 2 for O, which has 3", id="order-too-short"),
        pytest.param("(GU)->(GU) G=0,2,1,3", (10,), "does not split", id="gates-do-not-divide"),
    ],
)
def test_a_rule_that_does_not_fit_a_shape_is_refused(text, shape, message):
    rule = parse_rule(text)
    with pytest.raises(RuleError, match=message):
        rule.recipe(shape)


def row(tf_name, text, tf_shape, torch_shape=(6, 4), torch_name="w"):
    return Row(tf_name, torch_name, parse_rule(text), tf_shape, torch_shape, FROM_MAP)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("a", "IO->OI @0:2", (4, 2)), ("b", "IO->OI @2:6", (4, 4))], [], id="whole"),
        pytest.param(
            [("a", "IO->OI @0:2", (4, 2)), (None, "constant 0.0 @2:6", None)], [], id="constant"
        ),
        pytest.param(
            [("a", "IO->OI @0:2", (4, 2)), ("b", "IO->OI @4:6", (4, 2))],
            ["[6, 4]: nothing fills [2:4, :]"],
            id="gap",
        ),
        pytest.param(
            [("a", "as is @0:4", (4, 4)), ("b", "as is @3:6", (3, 4))],
            ["[6, 4]: [3:4, :] is filled by a and by b"],
            id="overlap",
        ),
        pytest.param(
            [("a", "as is @0:4,0:3", (4, 3)), ("b", "as is @4:6", (2, 4))],
            ["[6, 4]: nothing fills [0:4, 3:4]"],
            id="corner",
        ),
    ],
)
def test_parts_of_a_tensor_must_add_up(rows, expected):
    assert [text for _, text in partly_filled([row(*r) for r in rows])] == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(["IO->OI I=0:3", "IO->OI I=3:8"], [], id="all"),
        pytest.param(["IO->OI I=0:3"], ["[8, 5]: nothing takes [3:8, :]"], id="half"),
        pytest.param(["IO->OI I=0:3", "skip @3:8"], [], id="rest-skipped"),
        pytest.param(["skip @3:8"], ["[8, 5]: nothing takes [0:3, :]"], id="only-skipped"),
    ],
)
def test_a_variable_must_be_used_or_skipped_to_the_end(rules, expected):
    assert [text for _, text in partly_used([row("k", t, (8, 5)) for t in rules])] == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(("a", "as is @4:8", (4, 4)), "reaches beyond", id="beyond"),
        pytest.param(("a", "as is @:,:,0:1", (4, 4)), "speaks of 3 axes", id="too-many-axes"),
        pytest.param(("a", "as is @0:2", (3, 4)), r"\[2, 4\] from a \[3, 4\]", id="too-small"),
        pytest.param((None, "constant [1.0, 2.0] @0:3", None), "from 2 constants", id="constants"),
    ],
)
def test_a_part_must_have_the_shape_of_what_fills_it(entry, message):
    text = part_misfit(row(*entry))
    assert text is not None
    assert re.search(message, text)


def test_a_constant_of_a_part_has_the_other_parts_dtype(tmp_path: Path):
    """Whatever stands first in the file, the variable decides the dtype of its tensor."""
    values = np.arange(3, dtype=np.float64)
    write_safetensors(tmp_path / "v.safetensors", {"v": values})
    rows = [
        Row(None, "t", Constant(2.0, Part(((0, 2),))), None, (5,), FROM_MAP),
        Row("v", "t", Rule("", "", part=Part(((2, 5),))), (3,), (5,), FROM_MAP),
        Row("v", None, Skip(), (3,), None, FROM_MAP),
    ]
    target, seen = torch.empty(5), []
    with SafetensorsReader(tmp_path / "v.safetensors") as reader:
        fill_tensors({"t": target}, rows, reader, lambda row, tensor: seen.append(tensor.clone()))
    assert len(seen) == 1
    assert seen[0].tolist() == [2.0, 2.0, 0.0, 1.0, 2.0]
    assert target.dtype == torch.float64
