"""A TensorFlow network into a torch model with a new head and one input channel, then trained."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

TENSORFLOW = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

tf.set_random_seed(3)
x = tf.placeholder(tf.float32, [None, 12, 10, 3], "x")
y = tf.layers.conv2d(x, 8, 3, activation=tf.nn.relu, name="stem")
y = tf.layers.batch_normalization(y, name="norm")
y = tf.nn.relu(tf.layers.conv2d(y, 6, 3, name="deep"))
y = tf.layers.dense(tf.reduce_mean(y, [1, 2]), 9, name="logits")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for variable in tf.global_variables():
        value = np.random.RandomState(len(variable.name)).uniform(0.5, 1.5, variable.shape)
        if "norm" in variable.name:
            session.run(variable.assign(value))
    tf.train.Saver().save(session, sys.argv[1])
"""

MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.ReLU()
        )
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3)))
"""

OPTIONS = [
    *("--model", "net.py:Net", "--model-arg", "classes=4"),
    *("--adapt", r"encoder\.0\.weight", "--allow-missing", "head.*", "--allow-unused", "logits.*"),
    *("--freeze", "encoder.[23].*", "--dtype", "bfloat16"),
]


def test_a_network_is_adapted_proven_stored_in_half_precision_and_trained(
    workplace, runtime, extract_python, load_python
):
    folder = workplace.folder
    command = [extract_python, "-W", "ignore", "-c", TENSORFLOW, folder / "ckpt" / "model"]
    (folder / "ckpt").mkdir()
    subprocess.run(command, check=True, capture_output=True)
    (folder / "net.py").write_text(MODEL)
    done = workplace.run("ckpt", *OPTIONS, "--runtime", runtime, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PROVEN")
    result = workplace.manifest("out")["load"]["result"]
    assert result["reason"] == (
        "3 layers compared, and no output: it depends on head.weight, which is left as "
        "initialised; compared before input channels were fitted: encoder.0.weight"
    )
    transfer = json.loads((folder / "out" / "config.json").read_bytes())["transfer"]
    assert transfer["adapted"] == {"encoder.0.weight": "HWIO->OIHW adapt I 3->1"}
    assert transfer["initialised"]["tensors"] == ["head.weight", "head.bias"]
    assert transfer["left_out"] == ["logits/bias", "logits/kernel"]
    assert transfer["dtype"]["name"] == "bfloat16"
    example = [load_python, "-m", "stage_load.examples.fine_tune", folder / "out"]
    example += ["--trust-code", "--rate", "0.03"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
    said = subprocess.run(
        example, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    frozen, losses = said.split("parameters frozen; loss ")
    first, last = map(float, losses.split(" -> "))
    assert int(frozen) == 4
    assert last < 0.8 * first
