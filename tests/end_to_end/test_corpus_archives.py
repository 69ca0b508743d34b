"""Checkpoints of strangers, put away and made again from their archives, by either reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import RuntimeOptions
from tests.end_to_end.archives import verified_by
from tests.end_to_end.warm_runtime import WarmRuntime


class Item(NamedTuple):
    """A checkpoint of the collection.

    Attributes:
        folder: in the collection.
        needs_tensorflow: to be read whole; the reader without it says what is left.
        runs: so that there is a reference.
    """

    folder: str
    needs_tensorflow: bool = False
    runs: bool = True


ITEMS = [
    Item("ARM-software__ML-KWS-for-MCU/DS_CNN_M", needs_tensorflow=True),
    Item("Edwardlzy__SRCNN/SRCNN"),
    Item("HMS-IDAC__UNetCoreograph/random_values"),
    Item("KennyCandy__HAR/HAR_v4_2"),
    Item("Lmy0217__WirelessChannelAI/model", runs=False),
    Item("SUZhaoyu__deform_conv_tensorflow/deform", runs=False),
    Item("WJ-Lai__NightFusion/NightFusion"),
    Item("ardiya__siamesenetwork-tensorflow/model"),
    Item("ddfunt__ncaam_learn/model-10000"),
    Item("georgesung__deep_rl_acrobot/model"),
    Item("hmchuong__ML-BoneSuppression/model"),
    Item("kinokoman__incoption/model"),
    Item("manucarbonell__ctc_tensorflow_example/checkpoints"),
    Item("onnx__tensorflow-onnx/regression/checkpoint"),
    Item("onnx__tensorflow-onnx/regression/graphdef", needs_tensorflow=True),
    Item("onnx__tensorflow-onnx/regression/saved_model"),
    Item("tensorflow__serving/saved_model_half_plus_two_mkl"),
    Item("tensorflow__serving/session_bundle_half_plus_two"),
    Item("yuke93__RL-Restore/tool01"),
]


@pytest.fixture(scope="module")
def runtime(extract_python, load_python) -> Iterator[WarmRuntime]:
    """Its stages stay warm from one item to the next."""
    warm = WarmRuntime(LocalRuntime(RuntimeOptions(), os.environ))
    yield warm
    warm.close()


@pytest.mark.parametrize("item", [pytest.param(item, id=item.folder) for item in ITEMS])
def test_the_export_is_made_again(item, corpus_item, workplace, runtime):
    shutil.copytree(corpus_item(item.folder), workplace.folder / "original")
    for command in (
        ("extract", "original", "--out", "export", "--runtime", "local"),
        ("archive", "export", "--bag", "project.bag", "--without-program"),
    ):
        done = workplace.run(*command)
        assert done.returncode == 0, done.stderr
    # What is verified is the archive alone.
    for name in ("original", "export"):
        shutil.rmtree(workplace.folder / name)
    for reader in ("auto", "tf"):
        found = verified_by(runtime, workplace.folder / "project.bag", reader=reader)
        assert found.exit_code == 0, found.to_json()
        [export] = [verdict for verdict in found.verdicts if verdict.link == "export"]
        by_tensorflow = reader == "tf" or item.needs_tensorflow
        by = "by TensorFlow" if by_tensorflow else "without TensorFlow"
        assert export.details.startswith(f"made again {by}: variables.safetensors, graph.json")
        assert ("reference.safetensors" in export.details) == (item.runs and reader == "tf")
