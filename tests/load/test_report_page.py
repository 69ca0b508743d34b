"""The report for people: what it says, that it is whole, and that nothing in it can run."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from stage_load.layouts.rule import AS_IS, Constant, Kept, Skip
from stage_load.mapping import Row
from stage_load.report_page import report_page
from stage_load.report_page.charts import MOST_POINTS, layers_chart, scatter_chart
from stage_load.report_page.coverage import coverage_bars
from stage_load.report_page.page import MOST_ROWS
from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert('x')</script>&amp;\"'"


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text; scripts apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.scripts = [], [], [], []
        self.is_script = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.is_script = tag == "script"
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        self.is_script = False

    def handle_data(self, data):
        (self.scripts if self.is_script else self.texts).append(data)

    def all_text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(out):
    text = (out / "report.html").read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture
def evil_export(tmp_path):
    """A dense layer and a variable with HTML in their names; what TensorFlow computed is wrong."""
    kernel = np.ones((3, 4), np.float32)
    x = np.ones((2, 3), np.float32)
    maker = ExportMaker()
    maker.layer("dense", f"layer{EVIL}", {"kernel": kernel}, output=x @ kernel + np.float32(1))
    maker.variable(f"unused{EVIL}", kernel, reason=f"because {EVIL}")
    maker.input("x:0", x)
    maker.output(f"y{EVIL}:0", x @ kernel)
    source = "from torch import nn\n\n\ndef Net():\n    return nn.Linear(3, 4, bias=False)\n"
    return maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net"


def test_hostile_names_stay_text(load, evil_export):
    _, out = load(*evil_export)
    page, text = page_of(out)
    assert page.tags.count("script") == 1
    assert "alert" not in "".join(page.scripts)
    names = {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name in names)
    assert all(v.startswith("data:image/png") for n, v in page.attributes if n == "src")
    assert all(v.startswith("#") for n, v in page.attributes if n.endswith("href"))
    assert "http:" not in text
    assert "https:" not in text
    assert f"layer{EVIL}" in page.texts
    assert f"because {EVIL}" in page.texts
    assert f"y{EVIL}:0" in page.texts
    assert "failed" in page.texts


def test_what_turns_or_hides_text_is_written_out(load, tmp_path):
    kernel = np.ones((3, 4), np.float32)
    maker = ExportMaker()
    hidden = "a\u202eb\x1b[31mc\0d\u200be"
    maker.layer("dense", "layer", {"kernel": kernel}, output=np.zeros((2, 4), np.float32))
    maker.variable(f"unused {hidden}", kernel, reason=f"because {hidden}")
    maker.input("x:0", np.ones((2, 3), np.float32))
    maker.output(f"y {hidden}:0", np.zeros((2, 4), np.float32))
    source = "from torch import nn\n\n\ndef Net():\n    return nn.Linear(3, 4, bias=False)\n"
    model = f"{write_model(tmp_path, source)}:Net"
    _, out = load(maker.write(tmp_path / "export"), model)
    page, text = page_of(out)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)
    shown = r"a\u202eb\x1b[31mc\x00d\u200be"
    assert f"unused {shown}" in page.texts
    assert f"because {shown}" in page.texts
    assert f"y {shown}:0" in page.texts
    # The data stay what they are: a mapping.csv can be given back.
    rows = csv.DictReader((out / "mapping.csv").read_text("utf-8").splitlines(keepends=True))
    assert f"unused {hidden}" in {row["tf_name"] for row in rows}


def test_the_policy_allows_the_one_script_and_nothing_else(load, classifier, tmp_path):
    maker, model = classifier
    page, _ = page_of(load(maker.write(tmp_path / "export"), model)[1])
    (policy,) = (value for name, value in page.attributes if name == "content" and "src" in value)
    digest = hashlib.sha256("".join(page.scripts).encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy


def test_the_page_shows_what_a_person_asks(load, classifier, tmp_path):
    maker, model = classifier
    page, _ = page_of(load(maker.write(tmp_path / "export"), model)[1])
    text = page.all_text()
    for wanted in (
        "proven",
        "The torch model computes what TensorFlow computed.",
        "13 of 13 variables loaded",
        "6 of 6 layers compared",
        "13 matched",
        "1 constants and counters",
        "0 missing",
        "Found by: constant 1, graph 13",
        "separable/depthwise",
        "HWCM->(CM)1HW",
        "1.15.5, its graph",
        "by hand",
        f"numpy {np.__version__}",
    ):
        assert wanted in text, wanted
    # A table each: outputs, layers, mapping. Each says what it holds.
    assert page.tags.count("table") == page.tags.count("caption") == 3
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert any("All agree." in label for label in labels)
    assert any("13 matched" in label for label in labels)


def test_a_failed_proof_names_the_first_layer_in_text_and_chart(load, evil_export):
    page, text = page_of(load(*evil_export)[1])
    assert f"layer 0 (layer{EVIL}, module" in page.all_text()
    assert "first that differs: 0" in text
    assert ("class", "first") in page.attributes


@pytest.mark.parametrize(
    ("options", "drawn"),
    [
        pytest.param({"prove": False}, False, id="without-proof"),
        pytest.param({}, True, id="with-proof"),
    ],
)
def test_nothing_is_imported_to_draw_where_nothing_was_compared(
    options, drawn, classifier, tmp_path
):
    maker, model = classifier
    out = tmp_path / "out"
    out.mkdir()
    values = {"model": model, "device": "cpu", **options}
    job = {"job": "1", "command": "load", "export": str(maker.write(tmp_path / "export"))}
    code = (
        "import sys\n"
        "from stage_load.conversion import run_load\n"
        "from stage_load.jobs import parse_job\n"
        "from stage_load.stopwatch import Stopwatch\n"
        "from tests.load.conftest import RecordedEvents\n"
        f"job = parse_job({ ({**job, 'out': str(out), 'options': values})!r})\n"
        "run_load(job, RecordedEvents(), Stopwatch())\n"
        "print('matplotlib' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(drawn)]
    assert ("Proof" in page_of(out)[0].texts) is drawn


def test_long_tables_are_cut_and_say_where_the_rest_is(load, tmp_path):
    count = MOST_ROWS + 1
    maker = ExportMaker()
    x = np.ones((1, 1), np.float32)
    for index in range(count):
        maker.variable(f"scale{index}", np.full((1,), index, np.float32))
    maker.input("x:0", x)
    source = (
        "import torch\nfrom torch import nn\n\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        for i in range({count}):\n"
        "            setattr(self, f'scale{i}', nn.Parameter(torch.zeros(1)))\n\n"
        "    def forward(self, x):\n"
        "        return x\n"
    )
    model = f"{write_model(tmp_path, source)}:Net"
    page, text = page_of(load(maker.write(tmp_path / "export"), model)[1])
    assert "The first 2,000 of 2,001. mapping.csv holds all." in page.all_text()
    assert f"scale{MOST_ROWS - 1}<" in text
    assert f"scale{MOST_ROWS}<" not in text


def row(tf, torch, how, rule=AS_IS):
    return Row(tf, torch, rule, None, None, how)


def test_the_bars_count_both_sides():
    rows = [
        row("a", "x", "graph"),
        row("b", "y", "map"),
        row("c", "z", "guessed"),
        # Two variables in one tensor.
        row("e", "x", "graph"),
        row(None, "counter", "constant", Kept()),
        row(None, "ones", "map", Constant(1.0)),
        row(None, "head", "allowed", Kept()),
        row("d", None, "map", Skip()),
    ]
    variables, tensors = coverage_bars({"variables": 8}, rows)
    assert [(p.name, p.count, round(p.begin), round(p.share)) for p in variables.parts] == [
        ("matched", 3, 0, 38),
        ("guessed", 1, 38, 12),
        ("unused", 4, 50, 50),
    ]
    assert {p.name: p.count for p in tensors.parts} == {
        "matched": 2,
        "guessed": 1,
        "constant": 2,
        "missing": 1,
    }
    assert "1 missing" in tensors.in_words
    assert (variables.total, tensors.total) == (8, 6)


def test_bars_of_nothing():
    assert [bar.total for bar in coverage_bars({"variables": 0}, [])] == [0, 0]


def layer(index, error, verdict="agrees"):
    return {"layer": index, "name": f"l{index}", "verdict": verdict, "max_rel_to_scale": error}


def parity(layers, first=None, tolerance=1e-4):
    return {"layers": layers, "tolerance": tolerance, "first_differing_layer": first}


@pytest.mark.parametrize("tolerance", [1e-4, 0.0, 0.99])
@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([layer(0, 1e-7)], id="one"),
        pytest.param([layer(0, 0.0), layer(1, 0.0)], id="all-equal"),
        pytest.param([layer(0, 1e-30), layer(1, 1e-6)], id="denormal"),
        pytest.param([layer(0, "Infinity", "differs"), layer(1, None, "differs")], id="no-number"),
        pytest.param([layer(0, None), layer(1, 1e-6)], id="empty-tensor"),
        pytest.param([layer(0, 1e30, "differs"), layer(1, 1e-7)], id="huge"),
    ],
)
def test_charts_of_odd_numbers(layers, tolerance):
    svg = layers_chart(parity(layers, tolerance=tolerance), "words")
    assert svg.startswith('<svg role="img" aria-label="words"')
    assert svg.count("var(--bad)") > 0
    heights = [float(y) for y in re.findall(r'<use xlink:href="#[^"]+" x="[^"]+" y="([^"]+)"', svg)]
    assert all(np.isfinite(heights))


def test_many_layers_are_thinned_but_not_the_first_that_differs():
    layers = [layer(i, 1e-7) for i in range(20_000)]
    layers[12_345] = layer(12_345, 0.5, "differs")
    svg = layers_chart(parity(layers, layers[12_345]), "words")
    assert "first that differs: 12345" in svg
    assert svg.count("<use") < MOST_POINTS + 50
    assert len(svg) < 100_000


def test_the_label_of_a_chart_is_escaped():
    svg = layers_chart(parity([layer(0, 1e-7)]), EVIL)
    assert "<script" not in svg


def test_settings_of_the_person_do_not_change_the_charts():
    numbers = np.arange(5.0)
    first = scatter_chart(0, numbers, numbers + 0.5, "words")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True}):
        assert scatter_chart(0, numbers, numbers + 0.5, "words") == first


def test_charts_of_two_outputs_share_no_names():
    numbers = np.arange(5.0)
    ids = [
        set(re.findall(r'\bid="([^"]+)"', scatter_chart(i, numbers, numbers, "words")))
        for i in (0, 1)
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param([2.0], [2.0], id="one"),
        pytest.param([0.0, 0.0], [0.0, 0.0], id="zeros"),
        pytest.param([-1e38, 1e38], [1e38, -1e38], id="huge"),
        pytest.param([1.0, 1.0 + 1e-12], [1.0, 1.0], id="all-but-constant"),
    ],
)
def test_scatters_of_odd_numbers(expected, actual):
    svg = scatter_chart(0, np.array(expected), np.array(actual), "words")
    assert "<use" in svg
    assert "nan" not in svg.lower()


@pytest.fixture
def document(load, classifier, tmp_path):
    """``report.json`` of a small result, as a page is made of it."""
    maker, model = classifier
    _, out = load(maker.write(tmp_path / "export"), model)
    return json.loads((out / "report.json").read_bytes())


def test_causes_and_what_to_change_are_told(document):
    causes = [
        {"text": f"TensorFlow pads {EVIL}", "remedy": "Use SamePadConv2d", "is_certain": True},
        {"text": "the channels", "remedy": "Turn them", "is_certain": False},
    ]
    document["parity"] |= {"reason": "layer 3 differs", "causes": causes}
    page = Page(report_page(document, [], []))
    text = page.all_text()
    assert f"TensorFlow pads {EVIL}. Use SamePadConv2d" in text
    assert "Perhaps: the channels. Turn them" in text
    assert "layer 3 differs" in text


def test_wishes_for_transfer_learning_are_told(document):
    document["transfer"] = {
        "allow_missing": ["head.*", EVIL],
        "freeze": [],
        "initialised": {"seed": 0, "tensors": []},
        "dtype": {"name": "float16"},
    }
    text = Page(report_page(document, [], [])).all_text()
    assert f"allow missing head.*, {EVIL}" in text
    assert '"name": "float16"' in text
    assert "freeze" not in text
    assert "initialised" not in text
