"""Stage two of the usual recipe: unpickle, transpose by the number of axes, copy by position.

    python load_transpose.py weights.pkl models.py:factory model.pt

This is what blog posts and answers to questions show, kept here to be measured against. It trusts
the pickle, guesses the layout from the number of axes, and checks nothing but shapes.
"""

import importlib.util
import pickle
import sys

import numpy as np
import torch


def build_model(source: str) -> torch.nn.Module:
    """Call the factory named by `file.py:factory`."""
    path, _, factory = source.rpartition(":")
    specification = importlib.util.spec_from_file_location("tutorial_models", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    model: torch.nn.Module = getattr(module, factory)()
    return model


def main() -> None:
    """Copy the arrays into the model's parameters and save the state dict."""
    source, model_source, destination = sys.argv[1:]
    with open(source, "rb") as file:
        weights = pickle.load(file)
    model = build_model(model_source)
    with torch.no_grad():
        for array, parameter in zip(weights.values(), model.parameters(), strict=True):
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            elif array.ndim == 2:
                array = array.transpose(1, 0)
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    torch.save(model.state_dict(), destination)


if __name__ == "__main__":
    main()
