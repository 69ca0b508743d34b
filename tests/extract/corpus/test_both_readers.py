"""On every file of the collection TensorFlow's own code reads the same, bit for bit."""

from __future__ import annotations

import pytest

# Folder or file, and how many variables leave it.
ITEMS = [
    ("ARM-software__ML-KWS-for-MCU/DS_CNN_M", 47),
    ("Edwardlzy__SRCNN/SRCNN", 6),
    ("HMS-IDAC__UNetCoreograph/random_values", 50),
    ("KennyCandy__HAR/HAR_v4_2", 18),
    ("Lmy0217__WirelessChannelAI/model", 36),
    ("SUZhaoyu__deform_conv_tensorflow/deform", 34),
    ("WJ-Lai__NightFusion/NightFusion", 2),
    ("ardiya__siamesenetwork-tensorflow/model", 10),
    ("ddfunt__ncaam_learn/model-10000", 4),
    ("georgesung__deep_rl_acrobot/model", 10),
    ("hmchuong__ML-BoneSuppression/model", 5),
    ("kinokoman__incoption/model", 4),
    ("manucarbonell__ctc_tensorflow_example/checkpoints", 6),
    ("onnx__tensorflow-onnx/regression/checkpoint", 2),
    ("onnx__tensorflow-onnx/regression/graphdef", 2),
    ("onnx__tensorflow-onnx/regression/saved_model", 2),
    ("tensorflow__serving/saved_model_half_plus_two_mkl", 9),
    ("tensorflow__serving/session_bundle_half_plus_two", 2),
    ("yuke93__RL-Restore/tool01", 6),
]


@pytest.mark.parametrize(("name", "count"), ITEMS, ids=[name for name, _ in ITEMS])
def test_both_readers_agree(name, count, corpus_item, run_extraction, out):
    outcome = run_extraction(corpus_item(name), out, reader="both")
    assert outcome.result["readers"] == {"compared": count, "read_once": []}


def test_both_formats_of_one_prefix_agree(corpus_item, run_extraction, out):
    folder = corpus_item("ardiya__siamesenetwork-tensorflow/model")
    outcome = run_extraction(folder, out, reader="both", checkpoint_format="V1")
    assert outcome.result["readers"] == {"compared": 10, "read_once": []}
