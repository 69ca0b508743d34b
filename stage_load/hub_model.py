"""The model of the folder that this file lies in, for ``huggingface_hub``.

    import sys
    sys.path.insert(0, folder)
    from hub_model import Hub

    model = Hub.from_pretrained(folder)

Needs torch, safetensors and huggingface_hub, and whatever the model's own code imports. A model of
tf1-to-torch itself needs its folder ``stage_load``, too. Building the model runs that code.

The file stands alone: it is copied into the folder as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import operator
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

FOLDER = Path(__file__).resolve().parent
CONVERSION_FILE = "conversion.json"
SOURCE_FOLDER = "model_source"


class Hub(nn.Module, PyTorchModelHubMixin):
    """Holds the model, as its ``module``, and gives what that gives.

    The names of the tensors in files are the module's own, so that others read them as well.

    Args:
        arguments: of the model's constructor; ``from_pretrained`` takes them from ``config.json``.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        conversion = json.loads((FOLDER / CONVERSION_FILE).read_text(encoding="utf-8"))
        self.module = _build(conversion["model"], arguments)
        _set_values(self.module, conversion["modules"])
        _transfer(self.module, conversion["transfer"])

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the module returns."""
        return self.module(*inputs, **named)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the module's tensors, under its own names."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take tensors under the module's own names."""
        return self.module.load_state_dict(state_dict, strict, assign)


def _build(model: Mapping[str, Any], arguments: dict[str, Any]) -> nn.Module:
    place, _, name = model["name"].rpartition(":")
    if not place:
        from stage_load.models.registry import find_model

        return find_model(name).restore(arguments).build()
    factory = operator.attrgetter(name)(_import(place, model["source"]))
    module: nn.Module = factory(**arguments)
    return module


def _import(place: str, source: str | None) -> Any:
    """Import a package that is installed, or code of which a copy lies here."""
    if source is not None:
        sys.path.insert(0, str(FOLDER / SOURCE_FOLDER))
    if source is None or not place.endswith(".py"):
        return importlib.import_module(place)
    path = FOLDER / SOURCE_FOLDER / Path(source).name
    specification = importlib.util.spec_from_file_location(f"{__name__}_source", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is no Python file", path=str(path))
    module = importlib.util.module_from_spec(specification)
    # Known by name while it runs: dataclasses look their own module up.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def _set_values(module: nn.Module, values: Mapping[str, Mapping[str, float]]) -> None:
    """Set what is no tensor: epsilon and momentum of the normalisations, as TensorFlow had them."""
    for path, numbers in values.items():
        for name, number in numbers.items():
            setattr(module.get_submodule(path), name, number)


def _transfer(module: nn.Module, transfer: Mapping[str, Any]) -> None:
    """Give the module its dtype, and do not train what is recorded as frozen."""
    if transfer.get("dtype") is not None:
        module.to(getattr(torch, transfer["dtype"]["name"]))
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for name in transfer.get("frozen", ()):
        parameters[name].requires_grad_(False)
