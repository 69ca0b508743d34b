"""Models of tf.saved_model.save: their signature calls functions that are given the variables."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, List

import numpy
import pytest
import tensorflow as tf

from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.graph.describe import describe
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import filler_of
from stage_extract.reference.record import record
from tests.extract.graph.graph_case import kinds
from tests.extract.reference.conftest import read_safetensors

v1 = tf.compat.v1

# Eager execution cannot be turned off again: a process of its own.
SAVE = """
import sys
import numpy
import tensorflow as tf

tf.compat.v1.enable_v2_behavior()
layers = tf.keras.layers


def images():
    return tf.keras.Sequential([
        layers.Conv2D(5, 3, input_shape=(8, 7, 3), activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(4)])


def words():
    return tf.keras.Sequential([
        layers.Embedding(9, 6, input_length=7), layers.LSTM(5, return_sequences=True),
        layers.GRU(4), layers.Dense(3)])


def two_heads():
    x = tf.keras.Input((6,))
    hidden = layers.Dense(4, activation="relu")(x)
    heads = [layers.Dense(3, name="one")(hidden), layers.Dense(2, name="two")(hidden)]
    return tf.keras.Model(x, heads)


for name in ("images", "words", "two_heads"):
    model = globals()[name]()
    draw = numpy.random.RandomState(3)
    for variable in model.variables:
        variable.assign(draw.uniform(0.2, 0.8, variable.shape))
    tf.saved_model.save(model, sys.argv[1] + "/" + name)
"""


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: Any) -> Path:
    folder = Path(tmp_path_factory.mktemp("saved_functions"))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVE, str(folder)], check=True, capture_output=True
    )
    return folder


@pytest.mark.parametrize(
    ("name", "layers", "outputs"),
    [
        pytest.param("images", "conv2d batch_norm dense", ["dense"], id="images"),
        pytest.param("words", "embedding lstm gru dense", ["dense_1"], id="words"),
        pytest.param("two_heads", "dense dense dense", ["one", "two"], id="two-heads"),
    ],
)
def test_layers_and_values(
    saved_models: Path, tmp_path: Path, name: str, layers: str, outputs: List[str]
) -> None:
    source = open_source(locate(str(saved_models / name), None), ExtractOptions())
    with closing(source.open_reader()) as reader:
        variables = [one for one in reader.variables() if one.dtype == "float32"]
    options = ExtractOptions(inputs=source.inputs, outputs=source.outputs)
    description = describe(source.graph, variables, options, True, source.format)
    path = tmp_path / "reference.safetensors"
    assert source.graph is not None
    result = record(source.graph, filler_of(source), description, options, str(path))
    assert (result.state, result.reason, list(result.warnings)) == ("recorded", None, [])
    document = description.to_json()
    assert kinds(document) == layers.split()
    tensors = read_safetensors(path)
    [given] = document["inputs"]
    with v1.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, ["serve"], str(saved_models / name))
        signature = loaded.signature_def["serving_default"]
        assert sorted(signature.outputs) == outputs
        wanted = [signature.outputs[key].name for key in outputs]
        expected = session.run(wanted, {given["tensor"]: tensors[given["tensor"]]})
    for entry, value in zip(document["outputs"], expected):
        assert numpy.abs(value).max() > 1e-3
        numpy.testing.assert_allclose(tensors[entry["tensor"]], value, rtol=1e-4)
