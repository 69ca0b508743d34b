"""Reads results and shared folders where torch is: what is computed, and what a model card says.

python hub_reader.py load RESULT_OR_BAG SHAPE ANSWERS
python hub_reader.py hub FOLDER SHAPE ANSWERS
python hub_reader.py card FOLDER
"""

from __future__ import annotations

import json
import sys

import torch
from safetensors.torch import load_file, save_file


def main(command, path, *more):
    if command == "card":
        from huggingface_hub import ModelCard

        card = ModelCard.load(f"{path}/README.md")
        sys.stdout.write(json.dumps({"data": card.data.to_dict(), "text": card.text}))
        return
    shape, answers = json.loads(more[0]), more[1]
    if command == "load":
        from stage_load import load_model

        model = load_model(path, trust_code=True)
        tensors = model.state_dict()
    else:
        sys.path.insert(0, path)
        from hub_model import Hub

        model = Hub.from_pretrained(path, strict=True)
        tensors = load_file(f"{path}/model.safetensors")
    given = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        found = {"answer": model(given), **{f"tensor {name}": t for name, t in tensors.items()}}
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
