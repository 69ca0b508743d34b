"""What kind, shape, order and names leave open, the reference run decides, or it is refused."""

from __future__ import annotations

import numpy as np
import pytest

from stage_load.errors import MatchUncertain
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(31)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def two_branches(length=1, *, with_reference=True):
    """Branches of equal shape on one input, each ``length`` layers long, joined, then a head."""
    maker = ExportMaker()
    x = normal(7, 4)
    maker.input("x:0", x)
    maker.node("x")
    ends = []
    for branch in ("left", "right"):
        value, before = x, "x"
        for number in range(length):
            kernel = normal(4, 4)
            value = value @ kernel
            name = f"{branch}_{number}"
            maker.layer("dense", name, {"kernel": kernel}, output=value)
            maker.node(f"{name}/op", before)
            before = f"{name}/op"
        ends.append((value, before))
    joined = np.concatenate([value for value, _ in ends], axis=1)
    maker.node("join", *(node for _, node in ends))
    head = normal(8, 3)
    maker.layer("dense", "head", {"kernel": head}, output=joined @ head)
    maker.node("head/op", "join")
    if with_reference:
        maker.output("head:0", joined @ head)
    return maker


NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 3, bias=False)
        for name in NAMES:
            setattr(self, name, nn.Linear(4, 4, bias=False))

    def forward(self, x):
        BODY
        return self.last(torch.cat(JOIN, 1))
"""


def net(names, body, join):
    return NET.replace("NAMES", repr(names)).replace("BODY", body).replace("JOIN", join)


def run(load, tmp_path, maker, source, **options):
    model = f"{write_model(tmp_path, source)}:Net"
    result, out = load(maker.write(tmp_path / "export"), model, **options)
    return result, {row["torch_name"]: row for row in read_rows(out)}


CASES = [
    pytest.param(
        1,
        net(("p", "q"), "a = self.q(x); b = self.p(x)", "[b, a]"),
        {"p.weight": "left_0/kernel", "q.weight": "right_0/kernel"},
        id="run-in-another-order",
    ),
    pytest.param(
        3,
        net(
            ("s", "t", "u", "v", "w", "z"),
            "a = self.u(self.t(self.s(x))); b = self.z(self.w(self.v(x)))",
            "[b, a]",
        ),
        {"v.weight": "left_0/kernel", "w.weight": "left_1/kernel", "u.weight": "right_2/kernel"},
        id="chains",
    ),
    pytest.param(
        2,
        net(
            ("s", "t", "u", "v"),
            "a, b = self.s(x), self.t(x); b, a = self.u(b), self.v(a)",
            "[a, b]",
        ),
        {"s.weight": "left_0/kernel", "u.weight": "right_1/kernel", "v.weight": "left_1/kernel"},
        id="level-by-level",
    ),
]


@pytest.mark.parametrize(("length", "source", "expected"), CASES)
def test_the_run_decides(load, tmp_path, length, source, expected):
    result, rows = run(load, tmp_path, two_branches(length), source)
    assert result["verdict"] == "proven"
    assert {name: rows[name]["tf_name"] for name in expected} == expected
    assert any("placed by the reference run" in warning for warning in result["warnings"])
    assert {rows[name]["how"] for name in expected} <= {"reference", "graph"}


def test_names_that_tell_need_no_run(load, tmp_path):
    source = net(("right_0", "left_0"), "b = self.right_0(x); a = self.left_0(x)", "[a, b]")
    result, rows = run(load, tmp_path, two_branches(with_reference=False), source)
    assert result["verdict"] == "unproven"
    assert rows["left_0.weight"]["tf_name"] == "left_0/kernel"
    assert rows["left_0.weight"]["confidence"] == "1.00"


@pytest.mark.parametrize(
    ("with_reference", "options"),
    [
        pytest.param(False, {}, id="no-reference"),
        pytest.param(True, {"prove": False}, id="proof-switched-off"),
    ],
)
def test_without_a_run_an_even_choice_is_refused(load, tmp_path, with_reference, options):
    maker = two_branches(with_reference=with_reference)
    if not with_reference:
        maker.feeds.clear()
    source = net(("p", "q"), "a = self.q(x); b = self.p(x)", "[b, a]")
    with pytest.raises(MatchUncertain) as error:
        run(load, tmp_path, maker, source, **options)
    assert "left_0 -> q with confidence 0.50, or p" in error.value.happened
    assert "--map" in error.value.remedy
    rows = {row["torch_name"]: row["tf_name"] for row in read_rows(tmp_path / "out0")}
    assert rows["q.weight"] == "left_0/kernel"


def test_what_cannot_agree_fails_with_the_first_plan(load, tmp_path):
    source = net(("p", "q"), "a = self.p(x); b = self.q(x) * 1.5", "[b, a]")
    result, rows = run(load, tmp_path, two_branches(), source)
    assert result["verdict"] == "failed"
    assert rows["p.weight"]["tf_name"] == "left_0/kernel"
