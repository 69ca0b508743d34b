"""A model in a package of the user's: found in its folder, and kept in the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stage_load import load_model
from stage_load.errors import FactoryFailed, UnknownModel
from stage_load.models.registry import find_model
from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(43)
NETS = """from torch import nn

from .layers.linear import make_linear


class Net(nn.Sequential):
    def __init__(self, width):
        from mypkg_here.late import NAME

        super().__init__(make_linear(3, width))
        self.name = NAME


def fail():
    return make_linear(3, "wide")
"""
FILES = {
    "mypkg_here/nets.py": NETS,
    "mypkg_here/late.py": "NAME = 'first'\n",
    "mypkg_here/layers/linear.py": "from torch.nn import Linear as make_linear\n",
    "mypkg_here/unused.py": "",
}


@pytest.fixture(params=["regular", "namespace"])
def project(request, tmp_path):
    """A folder with a package, with ``__init__`` modules or without."""
    folder = tmp_path / "pro ject"
    init = ["mypkg_here/__init__.py", "mypkg_here/layers/__init__.py"]
    empty = dict.fromkeys(init if request.param == "regular" else (), "")
    for name, source in (FILES | empty).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def dense_export(path):
    kernel, bias, x = (RANDOM.normal(size=s).astype(np.float32) for s in ((3, 4), 4, (5, 3)))
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=x @ kernel + bias)
    maker.input("x:0", x)
    maker.output("y:0", x @ kernel + bias)
    return maker.write(path), bias


def test_a_package_is_kept_and_loaded_without_its_folder(load, tmp_path, project):
    export, bias = dense_export(tmp_path / "export")
    options = {"model_folder": str(project), "model_args": {"width": 4}}
    result, out = load(export, "mypkg_here.nets:Net", **options)
    assert result["verdict"] == "proven"
    assert not any(name.startswith("mypkg_here") for name in sys.modules)
    model = json.loads((out / "config.json").read_text())["model"]
    assert (model["name"], model["source"]) == ("mypkg_here.nets:Net", "mypkg_here/nets.py")
    copied = {path.relative_to(out / "model_source") for path in out.rglob("model_source/**/*.py")}
    present = {path.relative_to(project) for path in project.rglob("*.py")}
    assert copied == present - {Path("mypkg_here/unused.py")}
    project.rename(tmp_path / "gone")
    program = (
        "import sys; from stage_load import load_model; "
        "model = load_model(sys.argv[1], trust_code=True); print(model[0].bias.tolist())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(out)], cwd=ROOT, check=True, capture_output=True
    )
    assert told.stdout.decode().strip() == str(bias.tolist())


def test_the_kept_copy_counts_although_another_version_is_imported(
    load, tmp_path, project, monkeypatch
):
    export, _ = dense_export(tmp_path / "export")
    options = {"model_folder": str(project), "model_args": {"width": 4}}
    _, out = load(export, "mypkg_here.nets:Net", **options)
    (project / "mypkg_here" / "late.py").write_text("NAME = 'second, longer'\n")
    monkeypatch.syspath_prepend(str(project))
    import mypkg_here.late as imported

    try:
        assert load_model(out, trust_code=True).name == "first"
        assert sys.modules["mypkg_here.late"] is imported
    finally:
        for name in [name for name in sys.modules if name.startswith("mypkg_here")]:
            del sys.modules[name]


def test_an_exception_in_a_package_is_told_with_its_files(project):
    model = find_model("mypkg_here.nets:fail", project).restore(None)
    with pytest.raises(FactoryFailed, match=r"mypkg_here\.nets:fail raised TypeError"):
        model.build()


def test_a_folder_of_data_hides_no_installed_package(tmp_path):
    (tmp_path / "torch").mkdir()
    model = find_model("torch.nn:Identity", tmp_path).restore(None)
    assert (type(model.build()).__name__, model.source) == ("Identity", None)


def test_a_package_that_is_nowhere(tmp_path):
    write_model(tmp_path, "", "other.py")
    with pytest.raises(UnknownModel, match="no module 'mypkg_here'") as raised:
        find_model("mypkg_here:Net", tmp_path)
    assert raised.value.expected.startswith("Expected a package in the current folder, one that")
