"""The rest of the zoo: proven, unproven, or refused by the right op.

The tool's own proof is not believed: TensorFlow runs each checkpoint again, on other images.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODEL_DOES_NOT_FIT = 51
# test_unets.py has these, through both runtimes.
REQUIRED = frozenset(
    {
        "upconvcat",
        "upconvcat_batch_norm_adam",
        "paper_valid",
        "two_levels",
        "five_levels",
        "cond_batch_norm",
        "bare",
    }
)


def _variants():
    spec = importlib.util.spec_from_file_location("unet_zoo", TESTS / "unet_zoo.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {name: one for name, one in module.VARIANTS.items() if name not in REQUIRED}


# Its dropout drops at inference too, so TensorFlow never answers twice the same.
RANDOM = frozenset({"mask_only"})
VARIANTS = _variants()
PROVABLE = [name for name, one in VARIANTS.items() if one.fits and not one.bare]
UNPROVABLE = [name for name, one in VARIANTS.items() if one.fits and one.bare]
REFUSED = [name for name, one in VARIANTS.items() if not one.fits]


def prefix_of(folder):
    [index] = folder.glob("*.index")
    return index.with_suffix("")


def the_modules_tensor(result):
    """The tensor that the module computes: some leave out what follows the scores."""
    return json.loads((result / "config.json").read_bytes())["model"]["config"]["tf1_output"]


def convert(workplace, folder):
    return workplace.run(folder, "--model", "unet", "--runtime", "local", "--out", "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVABLE)
def test_proven_and_right(workplace, zoo, truth, name):
    done = convert(workplace, zoo(name))
    assert done.returncode == 0, done.stderr
    parity = workplace.manifest("out")["load"]["result"]["parity"]
    assert parity["max_rel"] < 1e-4
    assert parity["compared_outputs"] == 1
    assert parity["compared_layers"] > 0
    if name in RANDOM or not VARIANTS[name].runs:
        return
    out = workplace.folder / "out"
    tensor = VARIANTS[name].output or the_modules_tensor(out)
    assert truth.difference_on_fresh_input(out, prefix_of(zoo(name)), tensor) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", UNPROVABLE)
def test_converted_without_a_proof(workplace, zoo, load_python, name):
    done = convert(workplace, zoo(name))
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace.folder / "out" / "report.json").read_bytes())
    assert report["verdict"] == "unproven"
    assert report["coverage"]["variables_loaded"] == report["coverage"]["variables"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_refused(workplace, zoo, load_python, name):
    done = convert(workplace, zoo(name))
    assert done.returncode == MODEL_DOES_NOT_FIT
    assert f"'{VARIANTS[name].first_misfit}'" in done.stderr
    assert not (workplace.folder / "out").exists()
