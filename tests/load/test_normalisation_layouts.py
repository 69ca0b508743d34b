"""Normalisations, PReLU and attention's projections against torch's own modules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stage_load.layouts.registry import FAMILIES, find_rule
from stage_load.module_kinds import module_groups, module_kind
from tests.load.export_maker import ExportMaker
from tests.load.plans import pairs, planned, torch_model, unit

RANDOM = np.random.default_rng(4)


def drawn(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def filled(module, kind, attributes, **variables):
    """Fill a module's tensors by the rules of a kind: role -> (axes, values)."""
    family = FAMILIES[kind]
    with torch.no_grad():
        for role, (axes, values) in variables.items():
            rule = find_rule(kind, role, axes, attributes, values.ndim)
            target = getattr(module, family.parameters[role])
            array = torch.from_numpy(rule.apply(values))
            assert array.shape == target.shape
            target.copy_(array)
    for name, number in family.settings(attributes).items():
        setattr(module, name, number)
    return module.eval()


def normal(x, axes, epsilon):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def as_torch(image):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 1)))


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


EPSILON = 0.3
"""Large enough for a module that keeps its own to be wrong."""


def test_layer_norm_of_the_last_axis():
    x, gamma, beta = drawn(2, 5, 7), drawn(7), drawn(7)
    module = filled(
        nn.LayerNorm(7), "layer_norm", {"epsilon": EPSILON}, gamma=("C", gamma), beta=("C", beta)
    )
    expected = normal(x, (2,), EPSILON) * gamma + beta
    assert_close(module(torch.from_numpy(x)).detach().numpy(), expected)


def test_layer_norm_of_whole_images():
    x, gamma, beta = drawn(2, 5, 7, 3), drawn(5, 7, 3), drawn(5, 7, 3)
    module = filled(
        nn.LayerNorm([3, 5, 7]),
        "layer_norm",
        {"epsilon": EPSILON},
        gamma=("HWC", gamma),
        beta=("HWC", beta),
    )
    expected = normal(x, (1, 2, 3), EPSILON) * gamma + beta
    assert_close(module(as_torch(x)).detach().numpy(), np.moveaxis(expected, -1, 1))


@pytest.mark.parametrize(
    ("module", "kind", "groups"),
    [
        pytest.param(nn.InstanceNorm2d(6, affine=True), "instance_norm", 6, id="instance"),
        pytest.param(nn.GroupNorm(6, 6), "instance_norm", 6, id="groups-of-one-channel"),
        pytest.param(nn.GroupNorm(2, 6), "group_norm", 2, id="groups"),
        pytest.param(nn.GroupNorm(1, 6), "group_norm", 1, id="one-group"),
    ],
)
def test_instances_and_groups_of_images(module, kind, groups):
    x, gamma, beta = drawn(2, 5, 7, 6), drawn(6), drawn(1, 1, 1, 6)
    assert module_kind(module, ("weight", "bias")) == kind
    module = filled(module, kind, {"epsilon": EPSILON}, gamma=("C", gamma), beta=("111C", beta))
    split = x.reshape(2, 5, 7, groups, 6 // groups)
    expected = normal(split, (1, 2, 4), EPSILON).reshape(x.shape) * gamma + beta
    assert_close(module(as_torch(x)).detach().numpy(), np.moveaxis(expected, -1, 1))


def test_prelu():
    x, alpha = drawn(2, 5, 7, 6), drawn(1, 1, 6)
    module = filled(nn.PReLU(6), "prelu", {}, alpha=("11C", alpha))
    expected = np.where(x > 0, x, alpha * x)
    assert_close(module(as_torch(x)).detach().numpy(), np.moveaxis(expected, -1, 1))


@pytest.mark.parametrize(
    ("axes", "formula", "inputs", "kernel"),
    [
        pytest.param("INK", "bti,ink->btnk", (2, 5, 12), (12, 3, 4), id="into-heads"),
        # 12 x 12: a wrong order of the axes would keep the shape.
        pytest.param("NIK", "bti,nik->btnk", (2, 5, 12), (3, 12, 4), id="heads-first"),
        pytest.param("NKO", "btnk,nko->bto", (2, 5, 3, 4), (3, 4, 12), id="out-of-heads"),
    ],
)
def test_projections_of_attention(axes, formula, inputs, kernel):
    x, values = drawn(*inputs), drawn(*kernel)
    module = filled(nn.Linear(12, 12, bias=False), "dense", {}, kernel=(axes, values))
    expected = np.einsum(formula, x, values).reshape(2, 5, 12)
    actual = module(torch.from_numpy(x.reshape(2, 5, 12))).detach().numpy()
    assert_close(actual, expected)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        pytest.param(3, [], id="equal"),
        # The tensors would fit; what is computed differs.
        pytest.param(2, ["'n' has 2 groups, its counterpart 'norm' in the graph 3."], id="other"),
    ],
)
def test_another_number_of_groups_is_told(groups, said):
    maker = ExportMaker()
    vectors = {"gamma": drawn(6), "beta": drawn(6)}
    maker.layer("group_norm", "norm", vectors, groups=3, epsilon=1e-3)
    module = replace(unit("n", "group_norm", weight=(6,), bias=(6,)), groups=groups)
    plan = planned(maker, torch_model(module))
    assert [warning for warning in plan.warnings if "groups" in warning] == said
    assert pairs(plan) == {"n.weight": "norm/gamma", "n.bias": "norm/beta"}
    assert plan.settings == {"n": {"eps": 1e-3}}


def test_the_groups_of_modules():
    modules = (nn.GroupNorm(2, 6), nn.GroupNorm(6, 6), nn.LayerNorm(6))
    assert [module_groups(module) for module in modules] == [2, 1, 1]
