"""TensorFlow's own architectures, each into a torch module with other names and another order.

Neither a rule nor a mapping is given. The modules are in tests/architectures/torch_*.py, the
deliberate differences in mistakes.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ARCHITECTURES = Path(__file__).resolve().parents[1] / "architectures"
TENSORS_DO_NOT_FIT = 52
MODELS = {
    "alexnet_v2": "AlexNet",
    "densenet121": "DenseNet",
    "inception_v1": "InceptionV1",
    "inception_v3": "InceptionV3",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "resnet_v1_50": "ResNetV1",
    "resnet_v2_50": "ResNetV2",
    "vgg_16": "VGG16",
    "xception": "Xception",
}
# They have no batch norm, so that another activation takes the place of a wrong epsilon.
WITHOUT_NORMS = ("alexnet_v2", "vgg_16")
WITH_NORMS = [name for name in MODELS if name not in WITHOUT_NORMS]
DIFFERENCES = ("extra_head", "missing_layer", "swapped_branch", "even_padding")
# The kernel (or scale) of the layer that is missing; layers of one shape stand for each other.
MISSING = {
    "alexnet_v2": "alexnet_v2/conv4/weights",
    "densenet121": "bn/gamma",
    "inception_v1": "InceptionV1/Conv2d_2b_1x1/weights",
    "inception_v3": r"InceptionV3/Mixed_5\w/Branch_2/Conv2d_0c_3x3/weights",
    "mobilenet_v2": r"block_\d+_depthwise/depthwise_kernel",
    "resnet50": r"conv2_block\d_2_conv/kernel",
    "resnet_v1_50": r"resnet_v1_50/block2/unit_\d/bottleneck_v1/conv2/weights",
    "resnet_v2_50": r"resnet_v2_50/block1/unit_\d/bottleneck_v2/conv2/weights",
    "vgg_16": "vgg_16/fc7/weights",
    "xception": r"block\d+_sepconv\d/depthwise_kernel",
}
# Modules of one shape in each other's place compute the same, whatever they are called.
SWAPPED_BUT_EQUAL = ("inception_v3", "mobilenet_v2", "resnet50", "resnet_v1_50", "xception")
# What else is swapped: the first module that differs, and the cause where it is known.
SWAPPED = {
    "alexnet_v2": ("body.act2", "the graph computes Relu (alexnet_v2/conv3/Relu); the module does"),
    "densenet121": ("dense.0.1.norm1", "concat joins in another order; the module joins them in "),
    "inception_v1": (None, None),
    "resnet_v2_50": ("units.0.project", None),
    "vgg_16": ("trunk.scale2.1", "the graph computes Relu (vgg_16/conv3/conv3_1/Relu); the module"),
}
SAME_POOL = "MaxPool of 3x3 with stride 2x2 pads as SAME"
EVEN = {
    "alexnet_v2": ("body.stem", "the graph pads 0 above, 0 below, 0 left, 0 right on 199x199"),
    "densenet121": ("stem.0", "the graph pads 3 above, 3 below, 3 left, 3 right on 64x64"),
    "inception_v1": (
        "stem.2.conv",
        "TensorFlow's SAME padding with stride 2x2 pads 2 above, 3 below, 2 left, 3 right on "
        "200x200, the module 3 and 3 on both sides of height and width. Use "
        "stage_load.modules.SamePadConv2d(3, 64, 7, 2, ...)",
    ),
    "inception_v3": ("large.0.pooled.1.0", "AvgPool of 3x3 with stride 1x1 pads as SAME"),
    "mobilenet_v2": ("begin.0", "Use padding=0 after nn.ZeroPad2d((0, 1, 0, 1))"),
    "resnet50": ("conv", "the graph pads 3 above, 3 below, 3 left, 3 right on 64x64"),
    "resnet_v1_50": ("stages.0.0.side.0", SAME_POOL),
    "resnet_v2_50": ("units.0.bn_in", SAME_POOL),
    "vgg_16": ("trunk.scale1.0", "MaxPool of 2x2 with stride 2x2 pads as VALID"),
    "xception": ("shrink.1.one.each", SAME_POOL),
}


@pytest.fixture(scope="module")
def checkpoints(extract_python, shared_workplace):
    """Folder of every network's checkpoint, all made by one process."""
    root = shared_workplace.folder / "checkpoints"
    command = [extract_python, "-W", "ignore", ARCHITECTURES / "build.py", root, *MODELS]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def converted(checkpoints, shared_workplace):
    """`converted(name)`: how the conversion of a network ended, and its result; once each."""

    @cache
    def convert(name):
        model = f"{ARCHITECTURES / f'torch_{name}.py'}:{MODELS[name]}"
        arguments = ("--model", model, "--runtime", "local", "--out", name)
        done = shared_workplace.run(checkpoints / name, *arguments)
        # The export alone is needed later; a network takes up to half a gigabyte each time.
        shutil.rmtree(checkpoints / name)
        (shared_workplace.folder / name / "model.safetensors").unlink(missing_ok=True)
        return done, shared_workplace.folder / name

    return convert


@pytest.fixture(scope="module")
def told(converted, load_many, tmp_path_factory):
    """`told(name)`: the last event of each job with one of the differences, by its name."""

    @cache
    def load(name):
        more = (
            ("other_activation",) if name in WITHOUT_NORMS else ("wrong_epsilon", "fixed_epsilon")
        )
        file = ARCHITECTURES / "mistakes.py"
        models = {mistake: f"{file}:{name}_{mistake}" for mistake in (*DIFFERENCES, *more)}
        _, result = converted(name)
        return load_many(result / "export", models, tmp_path_factory.mktemp(name))

    return load


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_matched_and_proven(converted, name):
    done, result = converted(name)
    assert done.returncode == 0, done.stderr
    report = json.loads((result / "report.json").read_bytes())
    assert report["verdict"] == "proven"
    assert report["parity"]["max_rel"] < 1e-4
    assert report["parity"]["compared_layers"] == report["coverage"]["layers"]
    assert report["parity"]["compared_outputs"] >= 1
    assert report["coverage"]["variables_loaded"] == report["coverage"]["variables"]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_an_extra_head_is_told(told, name):
    error = told(name)["extra_head"]["error"]
    assert error["exit_code"] == TENSORS_DO_NOT_FIT
    first, *lines = error["happened"].splitlines()
    assert first.endswith(": 2 missing in the checkpoint.")
    assert [line.split()[0] for line in lines[1:]] == ["extra_head.bias", "extra_head.weight"]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_missing_layer_is_told(told, name):
    error = told(name)["missing_layer"]["error"]
    assert error["exit_code"] == TENSORS_DO_NOT_FIT
    first, title, *lines = error["happened"].splitlines()
    assert re.search(r": \d unexpected in the checkpoint\.$", first)
    assert title == "Unexpected in the checkpoint:"
    names = [line.split()[0] for line in lines]
    assert sum(re.fullmatch(MISSING[name], one) is not None for one in names) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SWAPPED_BUT_EQUAL)
def test_equal_modules_in_each_others_place_are_matched_by_what_they_compute(told, name):
    result = told(name)["swapped_branch"]["result"]
    assert result["verdict"] == "proven"
    assert result["parity"]["max_rel"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", SWAPPED)
def test_a_swapped_branch_is_told(told, name):
    module, cause = SWAPPED[name]
    result = told(name)["swapped_branch"]["result"]
    assert_failed(result, module, cause)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVEN)
def test_padding_that_is_not_the_graphs_is_told(told, name):
    module, cause = EVEN[name]
    assert_failed(told(name)["even_padding"]["result"], module, cause)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_NORMS)
def test_a_wrong_epsilon_is_set_right_and_said(told, name):
    result = told(name)["wrong_epsilon"]["result"]
    assert result["verdict"] == "proven"
    assert any(w.startswith("eps 0.25 of ") and " set to " in w for w in result["warnings"])


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_NORMS)
def test_an_epsilon_that_cannot_be_set_is_told(told, name):
    cause = "the module computes with 0.01. Compute with self.eps, which is set from the graph"
    assert_failed(told(name)["fixed_epsilon"]["result"], None, cause)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_NORMS)
def test_another_activation_is_told(told, name):
    cause = "the module takes torch's LeakyReLU of 0.01"
    assert_failed(told(name)["other_activation"]["result"], None, cause)


def assert_failed(result, module, cause):
    assert result["verdict"] == "failed"
    assert not result["causes"][1:]
    first = result["parity"]["first_differing_layer"]
    assert first is not None
    if module is not None:
        assert first["module"] == module
    if cause is not None:
        [found] = result["causes"]
        assert cause in found
