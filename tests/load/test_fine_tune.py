"""The example: what is not frozen learns, in float32, and what is frozen stays."""

from __future__ import annotations

import torch

from stage_load import load_model
from stage_load.examples.fine_tune import fine_tune, inputs_of


def test_the_loss_falls_and_what_is_frozen_stays(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    _, out = load(export, model, freeze=["(first|norm).*"], dtype="float16")
    loaded = load_model(out, trust_code=True)
    before = {name: tensor.clone().float() for name, tensor in loaded.state_dict().items()}
    torch.manual_seed(1)
    x = inputs_of(out, loaded, size=4)
    assert x.shape == (2, 3, 4, 6)
    losses = fine_tune(loaded, x, torch.zeros(2, 7), steps=15, rate=0.05)
    assert losses[-1] < 0.5 * losses[0]
    frozen = ("first.", "norm.")
    changed = {n for n, t in loaded.state_dict().items() if not torch.equal(t.float(), before[n])}
    assert changed == {name for name in before if not name.startswith(frozen)}
