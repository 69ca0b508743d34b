"""What a user sees of an exception in their code: their own frames, and no others."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stage_load.errors import FactoryFailed
from stage_load.models.registry import find_model
from stage_load.own_traceback import own_lines, own_place
from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

RANDOM = np.random.default_rng(37)
NET = """from torch import nn


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 4)

    def forward(self, x):
        return self.dense(x) + x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.inner(x)
"""
WRONG_WIDTH = """import math
from torch import nn


def width(text):
    try:
        return int(text)
    except ValueError as error:
        raise LookupError(f"no width {text}") from error


def make():
    return nn.Sequential(nn.Linear(3, width("four")))
"""


def text_of(path):
    """File and line of the frames that were left, as they are numbered in the sources above."""
    return [
        "Traceback (most recent call last):",
        f'  File "{path}", line 7, in width',
        "    return int(text)",
        "ValueError: invalid literal for int() with base 10: 'four'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        f'  File "{path}", line 13, in make',
        '    return nn.Sequential(nn.Linear(3, width("four")))',
        f'  File "{path}", line 9, in width',
        '    raise LookupError(f"no width {text}") from error',
        "LookupError: no width four",
    ]


def test_a_constructor_with_a_cause(tmp_path):
    path = write_model(tmp_path, WRONG_WIDTH)
    with pytest.raises(FactoryFailed) as raised:
        find_model(f"{path}:make").restore(None).build()
    lines = [line for line in own_lines(raised.value.__cause__) if set(line) - set(" ^~")]
    assert [line for line in lines if line] == [line for line in text_of(path) if line]


@pytest.mark.parametrize(
    ("source", "last"),
    [
        pytest.param("def broken(:\n", "SyntaxError: invalid syntax", id="syntax"),
        pytest.param(
            "import no_such\n", "ModuleNotFoundError: No module named 'no_such'", id="import"
        ),
        pytest.param("import helper_beside\n", "ZeroDivisionError: division by zero", id="beside"),
    ],
)
def test_an_import(tmp_path, source, last):
    (tmp_path / "helper_beside.py").write_text("1 / 0\n")
    path = write_model(tmp_path, source)
    with pytest.raises(FactoryFailed) as raised:
        find_model(f"{path}:Net")
    lines = own_lines(raised.value.__cause__)
    assert lines[-1] == last
    assert any(f'File "{path}", line 1' in line for line in lines)
    assert any("helper_beside.py" in line for line in lines) == ("beside" in source)
    assert not any("importlib" in line or "stage_load/" in line for line in lines)


def test_only_torchs_code_raised(tmp_path):
    """No frame is the user's own: the exception alone is told."""
    with pytest.raises(FactoryFailed) as raised:
        find_model("torch.nn:Linear").restore({"in_features": -1, "out_features": 2}).build()
    error = raised.value.__cause__
    assert own_place(error) == ""
    assert [line for line in own_lines(error) if line.startswith("  File")] == []
    assert own_lines(error)[-1].startswith("RuntimeError: ")


def test_a_forward_pass_that_fails(load, tmp_path):
    kernel, bias, x = (RANDOM.normal(size=s).astype(np.float32) for s in ((3, 4), 4, (5, 3)))
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=x @ kernel + bias)
    maker.input("x:0", x)
    maker.output("y:0", x @ kernel + bias)
    path = write_model(tmp_path, NET)
    result, out = load(maker.write(tmp_path / "export"), f"{path}:Net")
    assert result["verdict"] == "failed"
    place = "(net.py, line 10, in forward: return self.dense(x) + x)"
    assert result["reason"].startswith("the model fails on TensorFlow's inputs: RuntimeError: ")
    assert result["reason"].endswith(place)
    frames = [line for line in result["traceback"] if line.startswith("  File")]
    assert frames == [f'  File "net.py", line {line}, in forward' for line in (19, 10)]
    report = json.loads((out / "report.json").read_text())
    assert report["parity"]["traceback"] == result["traceback"]
    assert "return self.dense(x) + x" in (out / "report.html").read_text()


def test_a_model_that_could_not_be_traced_says_where_it_fails(load, tmp_path):
    kernel, x = RANDOM.normal(size=(3, 4)).astype(np.float32), np.ones((5, 3), np.float32)
    maker = ExportMaker()
    for name in ("a", "b"):
        maker.layer("dense", name, {"kernel": kernel}, output=x @ kernel)
    maker.input("x:0", x)
    maker.output("y:0", x @ kernel)
    source = NET.replace("Linear(3, 4)", "Linear(3, 4, bias=False)").replace(
        "        self.inner = Inner()\n",
        "        self.inner = Inner()\n        self.other = nn.Linear(3, 4, bias=False)\n",
    )
    result, _ = load(maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net")
    noted = [text for text in result["warnings"] if "was not run" in text]
    assert len(noted) == 1
    assert "(net.py, line 10, in forward: return self.dense(x) + x)" in noted[0]


def test_an_endless_recursion_is_told_in_few_lines():
    def call(depth):
        return call(depth + 1)

    with pytest.raises(RecursionError) as raised:
        call(0)
    assert len(own_lines(raised.value)) <= 100
