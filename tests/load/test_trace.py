"""What is known of a model before its weights are: its modules in the order in which they run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stage_load.building import build
from stage_load.modules import SamePadConv1d, SamePadConv2d
from stage_load.trace import trace_model
from tests.load.networks import classifier_class

CPU = torch.device("cpu")


def trace(model, *inputs):
    return trace_model(model.eval(), inputs or None)


def test_run_order_is_not_definition_order():
    traced = trace(classifier_class()(), torch.zeros(1, 3, 4, 6))
    assert [(unit.path, unit.kind, unit.calls) for unit in traced.units] == [
        ("first", "conv2d", 1),
        ("depthwise", "depthwise_conv2d", 1),
        ("point", "conv2d", 1),
        ("up", "conv2d_transpose", 1),
        ("norm", "batch_norm", 1),
        ("dense", "dense", 1),
    ]
    assert traced.order_note is None
    assert "scale" not in traced.tensors
    assert traced.tensors["norm.running_mean"].is_buffer
    assert traced.tensors["dense.weight"].shape == (7, 60)


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 3)
        self.shared = nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.ones(4))
        self.table = nn.Embedding(5, 4)
        self.out = nn.Linear(4, 5, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x):
        x = self.shared(self.shared(self.table(x))) * self.gain
        return self.out(x)


def test_repeated_tied_and_unused_modules():
    traced = trace(Mixed(), torch.zeros(2, dtype=torch.int64))
    assert [(unit.path, unit.kind, unit.calls) for unit in traced.units] == [
        ("", None, 1),
        ("table", "embedding", 1),
        ("shared", "dense", 2),
        ("out", "dense", 1),
        ("unused", "dense", 0),
    ]
    assert traced.aliases == {"out.weight": "table.weight"}
    assert "out.weight" not in traced.tensors
    assert traced.units[3].tensors["weight"].name == "table.weight"


@pytest.mark.parametrize(
    ("inputs", "note"),
    [
        pytest.param((), "no input is known", id="no-input"),
        pytest.param(
            (torch.zeros(1, 9, 4, 6),), "it fails on the input: ValueError", id="channels"
        ),
        pytest.param((torch.zeros(2), torch.zeros(2)), "it fails on the input", id="too-many"),
    ],
)
def test_a_model_that_cannot_be_run_keeps_its_definition_order(inputs, note):
    traced = trace(classifier_class()(), *inputs)
    assert traced.order_note.startswith(note)
    names = ["dense", "norm", "up", "first", "depthwise", "point"]
    assert [unit.path for unit in traced.units] == names


SHORTCUTS = [
    pytest.param(nn.Conv2d(3, 5, (2, 3), 2, 1), (1, 3, 9, 8), id="conv"),
    pytest.param(nn.Conv2d(3, 5, 3, dilation=2), (1, 3, 9, 8), id="conv-dilated"),
    pytest.param(nn.Conv2d(3, 5, 3, padding="same"), (1, 3, 9, 8), id="conv-same"),
    pytest.param(nn.Conv2d(3, 5, 3, padding="valid"), (3, 9, 8), id="conv-no-batch"),
    pytest.param(nn.Conv2d(6, 12, 3, groups=6), (1, 6, 9, 8), id="depthwise"),
    pytest.param(nn.ConvTranspose2d(3, 5, 3, 2, 1, 1), (1, 3, 4, 7), id="transposed"),
    pytest.param(
        nn.ConvTranspose2d(3, 5, (2, 4), dilation=2), (2, 3, 4, 7), id="transposed-dilated"
    ),
    pytest.param(nn.Conv2d(6, 8, 3, groups=2), (1, 6, 9, 8), id="grouped"),
    pytest.param(nn.Conv1d(3, 5, 3, 2, dilation=2), (2, 3, 9), id="conv1d"),
    pytest.param(nn.Conv1d(3, 5, 3, padding="same"), (3, 9), id="conv1d-same-no-batch"),
    pytest.param(nn.Conv3d(3, 5, (2, 3, 4), 2, (1, 0, 2)), (2, 3, 9, 8, 7), id="conv3d"),
    pytest.param(nn.ConvTranspose1d(3, 5, 3, 2, 1, 1), (2, 3, 4), id="transposed-1d"),
    pytest.param(
        nn.ConvTranspose3d(3, 5, (2, 3, 4), 2, (0, 1, 1)), (2, 3, 4, 5, 6), id="transposed-3d"
    ),
    pytest.param(SamePadConv2d(3, 5, 3, 2), (1, 3, 9, 8), id="conv-same-pad"),
    pytest.param(SamePadConv1d(3, 5, 2, 3), (3, 8), id="conv1d-same-pad-no-batch"),
    pytest.param(nn.Linear(7, 5), (2, 3, 7), id="linear"),
]


@pytest.mark.parametrize(("module", "shape"), SHORTCUTS)
def test_left_out_products_have_the_right_shape(module, shape):
    seen = []

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            seen.append(self.inner(x))

    traced = trace(Model(), torch.ones(shape))
    assert traced.order_note is None
    assert seen[0].shape == module(torch.ones(shape)).shape
    assert not seen[0].any()
    # The module is itself again.
    assert "forward" not in vars(module)


def test_a_subclass_with_its_own_forward_is_run():
    class Padded(nn.Conv2d):
        def forward(self, x):
            return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))

    model = nn.Sequential(Padded(3, 5, 2), nn.Flatten(), nn.Linear(5 * 4 * 6, 2))
    assert trace(model, torch.zeros(1, 3, 4, 6)).order_note is None


class Counter:
    """Counts what the random number generator was asked for."""

    def __init__(self):
        self.before = torch.random.get_rng_state()

    def moved(self):
        return not torch.equal(self.before, torch.random.get_rng_state())


def test_building_draws_no_random_numbers_and_keeps_buffers():
    counter = Counter()
    module = build(classifier_class(), CPU)
    assert not counter.moved()
    assert not module.training
    assert module.scale.tolist() == [1, 2, 3, 4, 5]
    assert module.norm.running_var.tolist() == [1] * 5
    # For comparison: the usual way does.
    classifier_class()()
    assert counter.moved()


def test_a_random_buffer_is_still_drawn():
    class Fourier(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(nn.init.normal_(torch.empty(3)))
            self.register_buffer("frequencies", torch.empty(4).uniform_(1, 2), persistent=False)

    module = build(Fourier, CPU)
    assert bool(((module.frequencies >= 1) & (module.frequencies <= 2)).all())
