"""Fine-tunes a converted model: ``python -m stage_load.examples.fine_tune RESULT``.

Without ``--data`` it learns drawn numbers, which shows that gradients flow where they should.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stage_load import load_model


def inputs_of(folder: Path, model: nn.Module, size: int) -> Tensor:
    """Draw a batch of two for the first input that ``config.json`` describes, in torch's axes."""
    endpoint = json.loads((folder / "config.json").read_bytes())["inputs"][0]
    shape = [2, *(size if n is None else n for n in endpoint["tf_shape"][1:])]
    if endpoint["torch_axes"] == "NCHW":
        shape = [shape[0], shape[3], *shape[1:3]]
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None and len(shape) == 4:
        # The result may be adapted to other channels than the checkpoint's.
        shape[1] = first.in_channels
    return torch.randn(shape)


def fine_tune(model: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float) -> list[float]:
    """Train what is not frozen, and return the loss of each step (mean squared error).

    Half precision keeps too few digits for small steps, so training is in float32.
    """
    model.float()
    for module in model.modules():
        # Frozen batch norms keep their statistics as well.
        frozen = not any(parameter.requires_grad for parameter in module.parameters())
        module.training = not frozen
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        torch.autograd.backward([loss])
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> None:
    """Load, train, print the first and the last loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--data", type=Path, help=".npz with x and y in torch's axes")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--size", type=int, default=64, help="of images without a fixed size")
    parser.add_argument("--trust-code", action="store_true", help="run the result's own Python")
    given = parser.parse_args()
    torch.manual_seed(0)
    model = load_model(given.result, trust_code=given.trust_code)
    if given.data is None:
        x = inputs_of(given.result, model, given.size)
        with torch.no_grad():
            y = torch.rand_like(model.float()(x))
    else:
        arrays = np.load(given.data, allow_pickle=False)
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    losses = fine_tune(model, x, y, given.steps, given.rate)
    frozen = sum(not parameter.requires_grad for parameter in model.parameters())
    text = f"{frozen} parameters frozen; loss {losses[0]:.4g} -> {losses[-1]:.4g}"
    print(text)  # noqa: T201 - a program for people


if __name__ == "__main__":
    main()
