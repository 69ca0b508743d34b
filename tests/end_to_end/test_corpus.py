"""A real network of other people's: a UNet with residual additions, so out of the family."""

from __future__ import annotations

import shutil

import pytest

ITEM = "HMS-IDAC__UNetCoreograph/random_values"
FIRST_MISFIT = "downsampling/ld0/add"
# Both sides are TensorFlow; other kernels of it round differently.
SAME = 1e-5


@pytest.fixture
def item(corpus_item, workplace):
    """The item in a writable folder."""
    folder = workplace.folder / "ckpt"
    shutil.copytree(corpus_item(ITEM), folder)
    return folder


def test_refused_as_a_unet_at_its_first_residual_addition(workplace, item, runtime):
    done = workplace.run("ckpt", "--model", "unet", "--runtime", runtime)
    assert done.returncode == 51, done.stderr
    assert f"its first op that does not fit is '{FIRST_MISFIT}' (Add)" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert workplace.names() == ["ckpt"]


def test_what_is_extracted_is_what_tensorflow_computes(workplace, item, runtime, truth):
    done = workplace.run("extract", "ckpt", "--runtime", runtime, "--out", "export")
    assert done.returncode == 0, done.stderr
    export, prefix = workplace.folder / "export", item / "model.ckpt"
    inputs, variables, expected, computed = (
        truth.folder / f"{name}.npz" for name in ("inputs", "variables", "expected", "computed")
    )
    # The record of stage 1, on its own input.
    truth.python("reference", export, inputs, expected)
    truth.run_tensorflow(prefix, inputs, computed, "Softmax:0")
    assert float(truth.python("compare", expected, computed)) < SAME
    # The exported variables, put into the graph, give what the collector stored.
    truth.python("variables", export, variables)
    truth.python("stored", item, inputs, expected)
    truth.run_tensorflow(prefix, inputs, computed, "Softmax:0", "--variables", variables)
    assert float(truth.python("compare", expected, computed)) < SAME
