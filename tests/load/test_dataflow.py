"""What feeds what tells units apart that kind and shape do not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stage_load.dataflow import Dataflow, told_apart
from stage_load.trace import trace_model


def flow(*edges):
    """Each edge is a unit and what it reads: a name, ("join", ...) or ("mix", ...)."""
    found = Dataflow()

    def number(value):
        if value == "x":
            return found.network_input()
        if isinstance(value, tuple):
            parts = [number(part) for part in value[1:]]
            return found.join(parts) if value[0] == "join" else found.mix(parts)
        return found.unit(value)

    for unit, value in edges:
        found.reaches[unit] = number(value)
    return found


def pairs(left, left_flow, right, right_flow):
    a, b = told_apart(left, left_flow, right, right_flow)
    return {unit: sorted(other for other, label in b.items() if label == a[unit]) for unit in left}


CASES = [
    pytest.param(
        [("a", "x"), ("b", "x"), ("c", "b"), ("d", ("join", "a", "c"))],
        [("B", "x"), ("C", "B"), ("A", "x"), ("D", ("join", "A", "C"))],
        {"a": ["A"], "b": ["B"], "c": ["C"], "d": ["D"]},
        id="a-branch-goes-on",
    ),
    pytest.param(
        [("a", "x"), ("b", "x"), ("d", ("join", "a", "b"))],
        [("B", "x"), ("A", "x"), ("D", ("join", "A", "B"))],
        {"a": ["A"], "b": ["B"], "d": ["D"]},
        id="the-place-in-a-concatenation",
    ),
    pytest.param(
        [("a", "x"), ("b", "x"), ("d", ("mix", "a", "b"))],
        [("B", "x"), ("A", "x"), ("D", ("mix", "A", "B"))],
        {"a": ["A", "B"], "b": ["A", "B"], "d": ["D"]},
        id="a-sum-has-no-order",
    ),
    pytest.param(
        [("a", "x"), ("b", "a"), ("c", "b"), ("d", "c")],
        [("A", "x"), ("B", "A"), ("C", "B"), ("D", "C"), ("head", "C")],
        {"a": ["A"], "b": [], "c": [], "d": []},
        id="an-added-head-disturbs-its-surroundings",
    ),
    pytest.param(
        [
            ("a", "x"),
            ("b", ("mix", ("mix", "x", "a"), "a")),
            ("c", ("mix", "x", ("mix", "a", "b"))),
        ],
        [("A", "x"), ("B", ("mix", "A", "x")), ("C", ("mix", ("mix", "B", "A"), "x"))],
        {"a": ["A"], "b": ["B"], "c": ["C"]},
        id="sums-of-sums-in-any-brackets",
    ),
]


@pytest.mark.parametrize(("left", "right", "expected"), CASES)
def test_units_are_told_apart(left, right, expected):
    keys = [dict.fromkeys((unit for unit, _ in side), "conv") for side in (left, right)]
    found = pairs(keys[0], flow(*left), keys[1], flow(*right))
    if "head" in dict(right):
        # Three units against four: their order must tell them.
        found = {unit: others if len(others) == 1 else [] for unit, others in found.items()}
    assert found == expected


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.join = nn.Conv2d(7, 2, 1)
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        y = torch.relu(self.norm(self.first(x)))
        y += x
        z = self.second(nn.functional.max_pool2d(x, 3, 1, 1))
        return self.join(torch.cat([y, z], dim=1))


def test_a_run_shows_what_feeds_what():
    traced = trace_model(Net(), [torch.zeros(1, 3, 6, 5)])
    seen = traced.flow

    def written(number):
        expression = seen.expressions[number]
        if expression.kind == "unit":
            return expression.unit
        if expression.kind == "input":
            return "x"
        parts = [written(part) for part in expression.parts]
        return (expression.kind, *(parts if expression.kind == "join" else sorted(parts)))

    assert {unit: written(number) for unit, number in seen.reaches.items()} == {
        "first": "x",
        "norm": "first",
        "second": "x",
        "join": ("join", ("mix", "norm", "x"), "second"),
    }


def test_what_is_cut_and_joined_over_and_over_stays_small():
    class Shuffle(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(40))

        def forward(self, x):
            for layer in self.layers:
                x = x + layer(x)
                x = torch.cat(x.chunk(2, 1)[::-1], 1)
            return x

    traced = trace_model(Shuffle().eval(), (torch.zeros(1, 4, 2, 2),))
    parts = [len(expression.parts) for expression in traced.flow.expressions]
    assert max(parts) <= 512
    keys = {unit.path: "conv" for unit in traced.units}
    labels, same = told_apart(keys, traced.flow, keys, traced.flow)
    assert labels == same
