"""The model card tells what the record tells; whatever a name holds, its tables stay tables."""

from __future__ import annotations

import pytest

from orchestration.hub.export import export_to_hub
from orchestration.hub.licenses import hub_license
from orchestration.hub.model import SharedModel
from orchestration.hub.options import HubOptions
from tests.orchestration.hub.hub_result import IMAGE, PARITY, config, make_shareable

UNET = {"name": "unet", "source": None, "config": {"assumptions": ["SAME padding"]}}
OUTCOME = {
    "reason": "1 output compared",
    "verdict": "unproven",
    "parity": None,
    "tensors": 3,
    "parameters": 1,
}


def card(folder, document=None, **changes):
    made = make_shareable(folder, document, **changes)
    export_to_hub(HubOptions(made.result, folder / "out"), lambda done, total: None)
    return (folder / "out" / "README.md").read_text(encoding="utf-8")


def failed(state, worst):
    return {"state": state, "exit_code": 0, "tolerance": worst and 1e-4, "worst": worst}


@pytest.mark.parametrize(
    ("document", "changes", "told"),
    [
        pytest.param(None, {}, "- proven\n---\n\n# ckpt 2018, converted from", id="front-matter"),
        pytest.param(None, {}, "73,708 parameters in 12 tensors", id="counts"),
        pytest.param(None, {}, "`m.index` (checkpoint) | 5 | `1bc04b5291c26a46", id="input-hash"),
        pytest.param(None, {}, "It is the checkpoint of step 1000.", id="step"),
        pytest.param(None, {}, "its source: `0000000000", id="program-hash"),
        pytest.param(None, {}, "relative to the scale of its output | 1e-06 |", id="worst"),
        pytest.param(None, {}, "accepted | 0.0001 |", id="tolerance"),
        pytest.param(None, {}, "layers compared | 23 |", id="layers"),
        pytest.param(None, {}, "layers not compared | 1 |", id="layers-not-compared"),
        pytest.param(None, {}, "| input | `x:0` | float32 | any x 7 x 8 x 3 | NCHW |", id="input"),
        pytest.param(None, {}, "| output | `y\\|':0` | float32 | unknown | - |", id="output"),
        pytest.param(None, {}, "95 entries; report.html tells", id="left-out-when-read"),
        pytest.param(None, {}, "It is for inference", id="inference-only"),
        pytest.param(None, {"load__image": IMAGE}, f"load.sif, sha256:{'1' * 64}", id="image"),
        pytest.param(
            None, {"load__image": IMAGE}, f"made from python:3.11-slim sha256:{'2' * 64}", id="base"
        ),
        pytest.param(
            None,
            {"load__environment": {"lock": "r.txt", "lock_sha256": "3" * 64, "packages": {}}},
            f"environment of r.txt, SHA-256 {'3' * 64}",
            id="environment",
        ),
        pytest.param(None, {"runtime": "podman"}, "by its runtime podman:", id="runtime"),
        pytest.param(
            None, {"settings__extract__prefer_ema": True}, "`prefer_ema` `true`", id="option"
        ),
        pytest.param(
            None,
            {"verdict": failed("failed", {"tensor": "a`b|c", "max_abs": 2.0, "max_rel": 0.5})},
            "The proof failed: do not rely on it",
            id="failed",
        ),
        pytest.param(
            None,
            {"verdict": failed("failed", {"tensor": "a`b|c", "max_abs": 2.0, "max_rel": 0.5})},
            "| where | `a'b\\|c` |",
            id="name-with-marks",
        ),
        pytest.param(
            None,
            {"verdict": failed("unproven", None)},
            "were not compared by running",
            id="unproven",
        ),
        pytest.param(
            None,
            {"load__result": {**OUTCOME, "warnings": ["<b>Dropout</b>\n# was left on"]}},
            "- \\<b\\>Dropout\\</b\\> # was left on\n",
            id="warning-with-marks",
        ),
        pytest.param(config(model=UNET), {}, "- Assumed: SAME padding\n", id="assumption"),
        pytest.param(config(model=UNET), {}, "import UNet", id="plain-mixin-of-a-unet"),
        pytest.param(config(model=UNET), {}, "also needs the folder `stage_load`", id="unet"),
        pytest.param(None, {}, "from net import Net", id="plain-mixin"),
        pytest.param(
            config(modules={"n": {"eps": 1e-3}}), {}, "leaves every epsilon as", id="epsilon"
        ),
        pytest.param(
            config(dtype={"name": "bfloat16"}), {}, "were rounded to bfloat16", id="dtype"
        ),
        pytest.param(
            config(initialised={"seed": 0, "tensors": ["head.weight"]}),
            {},
            "Not from the checkpoint, but as new (seed 0): head.weight.",
            id="initialised",
        ),
        pytest.param(
            config(left_out=[f"v{i}" for i in range(25)]), {}, "v19 and 5 more.", id="left-out"
        ),
        pytest.param(config(adapted={"stem": "x"}), {}, "channels or classes: stem.", id="adapted"),
        pytest.param(config(frozen=["a", "b"]), {}, "hub\\_model.py freezes: 2.", id="frozen"),
    ],
)
def test_what_a_card_tells(document, changes, told, tmp_path):
    assert told in card(tmp_path, document, **changes)


def test_a_card_without_a_comparison_has_no_figures(tmp_path):
    text = card(tmp_path, verdict=failed("unproven", None))
    assert "worst difference" not in text
    assert "numerical" not in text
    assert str(PARITY["max_rel"]) not in text


@pytest.mark.parametrize(
    ("document", "plain"),
    [
        pytest.param(config(), ("net", "Net"), id="class"),
        pytest.param(
            config(model=UNET), ("stage_load.models.unet.network", "UNet"), id="of-this-program"
        ),
        pytest.param(
            config(model={"name": "net.py:make", "source": "net.py", "config": None}),
            None,
            id="function",
        ),
        pytest.param(
            config(model={"name": "my net.py:Net", "source": "net.py", "config": None}),
            None,
            id="no-name-of-a-module",
        ),
        pytest.param(
            config(model={"name": "net.py:Net", "source": "../net.py", "config": None}),
            None,
            id="source-elsewhere",
        ),
        pytest.param(
            config(model={"name": "pkg.net:Net", "source": None, "config": None}),
            None,
            id="installed",
        ),
        pytest.param(config(modules={"n": {"eps": 1e-3}}), None, id="values"),
        pytest.param(config(dtype={"name": "float16"}), None, id="dtype"),
    ],
)
def test_the_mixin_alone_is_told_of_only_where_it_gives_the_same(document, plain, tmp_path):
    result = make_shareable(tmp_path, document).result
    assert SharedModel.read(result).plain_class(result, {"model_source/net.py"}) == plain


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param(None, ("unknown", None), id="none"),
        pytest.param("Apache-2.0", ("apache-2.0", None), id="spdx"),
        pytest.param("GPL-3.0-only", ("gpl-3.0", None), id="spdx-only"),
        pytest.param("LGPL-2.1-or-later", ("lgpl-2.1", None), id="spdx-or-later"),
        pytest.param("cc-by-nc-4.0", ("cc-by-nc-4.0", None), id="hub"),
        pytest.param("MIT OR Apache-2.0", ("other", "mit-or-apache-2.0"), id="expression"),
        pytest.param("https://x.org/l", ("other", "https-x.org-l"), id="address"),
        pytest.param("other", ("other", "other"), id="other"),
        pytest.param("???", ("other", "other"), id="no-letters"),
    ],
)
def test_licences(name, found):
    assert hub_license(name) == found
