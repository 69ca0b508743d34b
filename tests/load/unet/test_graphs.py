"""Graphs that the extraction stage described, of networks that TensorFlow 1.15 saved.

The files are the zoo's (tests/unet_zoo.py), so these tests need no TensorFlow.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import ExportView
from stage_load.models.unet.family import UNetFamily

GRAPHS = Path(__file__).parent / "data" / "graphs"

DESCRIPTIONS = {
    "upconvcat": "UNet of 4 levels (5-8-12-18 channels), 1 -> 2 channels, nearest up-sampling, "
    "no batch norm, skip last",
    "upconvcat_batch_norm_adam": "UNet of 3 levels (6-10-15 channels), 3 -> 4 channels, "
    "nearest up-sampling, batch norm, skip last",
    "paper_valid": "UNet of 3 levels (7-11-18 channels), 2 -> 3 channels, "
    "transposed convolutions, no batch norm, skip first, cropped",
    "two_levels": "UNet of 2 levels (7-13 channels), 3 -> 1 channels, transposed convolutions, "
    "no batch norm, skip first",
    "five_levels": "UNet of 5 levels (4-6-8-10-13 channels), 1 -> 5 channels, "
    "transposed convolutions, no batch norm, skip first",
    "cond_batch_norm": "UNet of 3 levels (6-9-13 channels), 2 -> 3 channels, "
    "nearest up-sampling, batch norm, skip last",
    "keras_batch_norm": "UNet of 3 levels (5-8-12 channels), 1 -> 3 channels, "
    "transposed convolutions, batch norm, skip last",
    "slim_batch_norm": "UNet of 3 levels (6-9-13 channels), 3 -> 4 channels, "
    "nearest up-sampling, batch norm, skip last",
    "unnamed_variables": "UNet of 3 levels (6-9-13 channels), 1 -> 2 channels, "
    "transposed convolutions, no batch norm, skip first",
    "strided_down": "UNet of 3 levels (4-7-9 channels), 1 -> 3 channels, "
    "transposed convolutions, no batch norm, skip first",
    "keras_cropping": "UNet of 3 levels (6-9-12 channels), 2 -> 3 channels, "
    "transposed convolutions, no batch norm, skip first, cropped",
    "depth_to_space": "UNet of 3 levels (6-10-15 channels), 4 -> 3 channels, "
    "transposed convolutions, no batch norm, skip last",
    "channels_first": "UNet of 2 levels (6-9 channels), 3 -> 2 channels, "
    "transposed convolutions, no batch norm, skip first",
}
FIRST_MISFITS = {
    "residual_addition": "down0/add",
    "skip_after_pooling": "up1/concat",
    "additive_skip": "up1/add",
    "plain_autoencoder": "up0/ResizeNearestNeighbor",
}


def view_of(name):
    return ExportView(json.loads(gzip.decompress((GRAPHS / f"{name}.json.gz").read_bytes())))


@pytest.mark.parametrize(("name", "description"), DESCRIPTIONS.items(), ids=DESCRIPTIONS)
def test_configuration(name, description):
    family, view = UNetFamily(), view_of(name)
    config = family.configure(view)
    assert config.describe() == description
    module = family.build(config)
    (image,) = family.example_inputs(config)
    assert module(image).shape[:2] == (1, config.classes)
    # Every tensor of the graph's layers has a place of its size.
    wanted = sum(_size(variable.shape) for variable in view.variables.values() if variable.layers)
    trained = sum(parameter.numel() for parameter in module.parameters())
    statistics = sum(b.numel() for name, b in module.named_buffers() if "running" in name)
    without_gamma = sum(
        view.variables[layer.variables["beta"]].shape[0]
        for layer in view.layers
        if layer.kind == "batch_norm" and "gamma" not in layer.variables
    )
    assert trained + statistics == wanted + without_gamma


@pytest.mark.parametrize(("name", "node"), FIRST_MISFITS.items(), ids=FIRST_MISFITS)
def test_refusal(name, node):
    with pytest.raises(ModelDoesNotFit) as refusal:
        UNetFamily().configure(view_of(name))
    assert f"first op that does not fit is '{node}' (" in refusal.value.happened


def test_every_graph_has_a_case():
    names = {path.name.partition(".")[0] for path in GRAPHS.iterdir()}
    assert names == DESCRIPTIONS.keys() | FIRST_MISFITS.keys()


def _size(shape):
    product = 1
    for number in shape:
        product *= number
    return product
