"""A user's model of several files: found, copied into the result, and loaded from there alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stage_load.models.registry import find_model
from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(19)

MAIN = """# -*- coding: latin-1 -*-
# \xe9l\xe8ve
import functools

from torch import nn

from layers_beside.linear import make_linear


def late():
    from sizes_beside import WIDTH

    return make_linear(3, WIDTH)


partial = functools.partial(make_linear, 3, 4)
anonymous = lambda: make_linear(3, 4)
"""


@pytest.fixture
def own_files(tmp_path):
    folder = tmp_path / "own models"
    write_model(folder, "WIDTH = 4\n", "sizes_beside.py")
    write_model(folder / "layers_beside", "", "__init__.py")
    linear = "from torch import nn\n\n\ndef make_linear(a, b):\n    return nn.Linear(a, b)\n"
    write_model(folder / "layers_beside", linear, "linear.py")
    path = folder / "net.py"
    path.write_bytes(MAIN.encode("latin-1"))
    return path


@pytest.mark.parametrize("name", ["late", "partial", "anonymous"])
def test_the_result_holds_all_that_it_needs(load, tmp_path, own_files, name):
    kernel, bias, x = (RANDOM.normal(size=s).astype(np.float32) for s in ((3, 4), 4, (5, 3)))
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=x @ kernel + bias)
    maker.input("x:0", x)
    maker.output("y:0", x @ kernel + bias)
    result, out = load(maker.write(tmp_path / "export"), f"{own_files}:{name}")
    assert result["verdict"] == "proven"
    copied = {str(p.relative_to(out / "model_source")) for p in out.rglob("model_source/**/*.py")}
    late = {"sizes_beside.py"} if name == "late" else set()
    assert copied == {"net.py", "layers_beside/__init__.py", "layers_beside/linear.py"} | late
    assert (out / "model_source" / "net.py").read_bytes() == own_files.read_bytes()
    assert not any("beside" in module for module in sys.modules)
    own_files.unlink()
    program = (
        "import sys, torch; from stage_load import load_model; "
        "model = load_model(sys.argv[1], trust_code=True); print(model.bias.tolist())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(out)], cwd=ROOT, check=True, capture_output=True
    )
    assert told.stdout.decode().strip() == str(bias.tolist())


def test_an_environment_below_the_models_folder_is_no_neighbour(tmp_path, monkeypatch):
    """With the model in a home folder, the environment of torch itself may lie below it."""
    packages = tmp_path / "environment" / "packages"
    write_model(packages, "VALUE = 1\n", "installed_below.py")
    monkeypatch.syspath_prepend(str(packages))
    source = "import installed_below\nfrom torch import nn\n\n\ndef make():\n    return nn.ReLU()\n"
    model = find_model(f"{write_model(tmp_path, source)}:make").prepare(None, {})
    model.build()
    assert not model.neighbours
    # Imported twice, a library would register its operators twice.
    assert "installed_below" in sys.modules
