"""200 wrong mappings of tensors of equal shape: the proof fails in each of them."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from torch import nn

from stage_load.comparison import DEFAULT_TOLERANCE
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.loading import load_plan
from stage_load.mapping import FROM_MAP, Given
from stage_load.parity import prove
from stage_load.plan import make_plan
from stage_load.strict import check_plan
from stage_load.trace import trace_model
from tests.load.export_maker import ExportMaker
from tests.load.networks import to_tf

COUNT = 200


class Net(nn.Module):
    """Residual units of equal shape, so that almost any tensor could stand in another's place."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 4)
        self.middle = nn.Linear(4, 4)
        self.convolutions = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(6))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(6))

    def forward(self, x):
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x + torch.relu(norm(convolution(x)))
        return self.head(torch.relu(self.middle(x.mean((2, 3)))))


def network():
    return Net().eval()


def right_export():
    """An export of the network with random weights, its layouts written out by hand."""
    torch.manual_seed(8)
    model = network()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.6)
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, a, out, name=name: seen.update({name: out}))
    x = torch.randn(3, 4, 5, 6)
    with torch.no_grad():
        y = model(x)
    maker = ExportMaker()
    for number in range(6):
        convolution, norm = model.convolutions[number], model.norms[number]
        kernel = convolution.weight.detach().numpy().transpose(2, 3, 1, 0)
        arrays = {"kernel": kernel, "bias": convolution.bias.detach().numpy()}
        output = to_tf(seen[f"convolutions.{number}"])
        maker.layer("conv2d", f"conv{number}", arrays, output=output, data_format="NHWC")
        arrays = {
            "gamma": norm.weight.detach().numpy(),
            "beta": norm.bias.detach().numpy(),
            "moving_mean": norm.running_mean.numpy(),
            "moving_variance": norm.running_var.numpy(),
        }
        output = to_tf(seen[f"norms.{number}"])
        maker.layer("batch_norm", f"norm{number}", arrays, output=output, epsilon=1e-5, decay=0.9)
    for name in ("middle", "head"):
        linear = getattr(model, name)
        arrays = {
            "kernel": linear.weight.detach().numpy().T,
            "bias": linear.bias.detach().numpy(),
        }
        maker.layer("dense", name, arrays, output=seen[name].numpy(), transpose_b=False)
    maker.input("x:0", to_tf(x), [None, 5, 6, 4])
    maker.output("y:0", y.numpy())
    return maker


def mutated(rows, chance):
    """Exchange the variables of two or three tensors, equal in shape and rule."""
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if row.tf_name is not None:
            groups[row.tf_shape, str(row.rule)].append(index)
    members = chance.choice([group for group in groups.values() if len(group) > 1])
    chosen = chance.sample(members, min(len(members), chance.choice((2, 3))))
    result = list(rows)
    for index, other in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
        result[index] = replace(rows[index], tf_name=rows[other].tf_name)
    return result


class Bench:
    """Loads one export with a mapping given in full, as a user's file would, and proves it."""

    def __init__(self, export, folder):
        self.export = export
        self.path = folder / "model.safetensors"
        self.model = network()
        self.feed = Feed(torch.device("cpu"))
        inputs = self.feed.reference_inputs(export, self.model)
        self.traced = trace_model(self.model, inputs)
        self.rows = make_plan(export.view, self.traced, ()).rows

    def parity(self, rows):
        filled = [row for row in rows if row.tf_name is not None]
        given = [Given(row.tf_name, row.torch_name, row.rule, FROM_MAP) for row in filled]
        plan = make_plan(self.export.view, self.traced, given)
        check_plan(self.export.view, self.traced, plan)
        aliases, variables = self.traced.aliases, self.export.variables
        load_plan(self.model, plan, aliases, variables, self.path, lambda done, total: None)
        return prove(
            self.export,
            self.model,
            self.feed,
            plan.places,
            DEFAULT_TOLERANCE,
            lambda done, total: None,
            weights_are_finite=True,
        )


@pytest.mark.parametrize(
    "recorded", [pytest.param(True, id="every-layer"), pytest.param(False, id="output-alone")]
)
def test_every_wrong_mapping_fails(tmp_path, recorded):
    maker = right_export()
    if not recorded:
        maker.layer_outputs.clear()
    with Export(maker.write(tmp_path / "export")) as export:
        bench = Bench(export, tmp_path)
        assert bench.parity(bench.rows).verdict == "proven"
        chance = random.Random(f"mutations {recorded}")
        seen, verdicts = set(), []
        while len(verdicts) < COUNT // 2:
            wrong = mutated(bench.rows, chance)
            key = tuple(row.tf_name for row in wrong)
            if key not in seen:
                seen.add(key)
                parity = bench.parity(wrong)
                verdicts.append((parity.verdict, parity.reason))
        assert [entry for entry in verdicts if entry[0] != "failed"] == []
