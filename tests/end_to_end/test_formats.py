"""One small UNet as SavedModel and as frozen graph: the same state dict as from its checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

# Writes both formats of a checkpoint: PREFIX OUTPUT FOLDER.
WRITE = """
import os, sys
import tensorflow as tf
v1 = tf.compat.v1
prefix, output, folder = sys.argv[1:]
session = v1.Session()
v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
tensor = session.graph.get_tensor_by_name
v1.saved_model.simple_save(
    session, os.path.join(folder, "saved"), {"image": tensor("image:0")}, {"scores": tensor(output)}
)
frozen = v1.graph_util.convert_variables_to_constants(
    session, session.graph_def, [output.partition(":")[0]]
)
v1.io.write_graph(frozen, os.path.join(folder, "frozen"), "graph.pb", as_text=False)
"""


@pytest.fixture(scope="module")
def formats(zoo, extract_python, tmp_path_factory) -> Path:
    """A folder with the UNet as `saved` and as `frozen`."""
    folder: Path = tmp_path_factory.mktemp("formats")
    prefix = next(zoo("upconvcat_batch_norm_adam").glob("*.index")).with_suffix("")
    command = [extract_python, "-W", "ignore", "-c", WRITE, prefix, "logits/BiasAdd:0", folder]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
    return folder


def convert(workplace, path: Path, out: str) -> bytes:
    """Convert to a UNet; gives the file of its state dict."""
    done = workplace.run(path, "--model", "unet", "--runtime", "local", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"PROVEN  {out}\n")
    return (workplace.folder / out / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def state_dict(shared_workplace, zoo) -> bytes:
    """The state dict that the checkpoint gives."""
    return convert(shared_workplace, zoo("upconvcat_batch_norm_adam"), "checkpoint")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("saved", "SavedModel", id="saved-model"),
        pytest.param("frozen", "frozen graph", id="frozen-graph"),
    ],
)
def test_every_format_gives_the_same_model(shared_workplace, formats, state_dict, name, words):
    assert convert(shared_workplace, formats / name, name) == state_dict
    graph = json.loads((shared_workplace.folder / name / "export" / "graph.json").read_bytes())
    assert graph["source"]["checkpoint_format"] == words
    assert shared_workplace.manifest(name)["load"]["result"]["parity"]["compared_layers"] == 25
