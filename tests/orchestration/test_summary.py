"""What people read at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.errors import CheckpointMissing, StageFailed
from orchestration.summary import error_lines, kept_words, shown_path, summary_lines, verdict_color

PARITY = {"worst": "y:0", "max_abs": 3.21e-6, "max_rel": 1.5e-6, "tolerance": 1e-4}
RESULT = {
    "verdict": "proven",
    "reason": "1 output and 12 layers compared",
    "device": "cpu",
    "device_note": None,
    "model": {"name": "unet", "config": {}},
    "tensors": 68,
    "parameters": 1946881,
    "parity": PARITY,
    "non_finite_weights": [],
}


def lines_of(**changes):
    manifest = {"load": {"result": {**RESULT, **changes}}, "total_s": 4.26}
    return summary_lines(Path("out"), manifest, is_new=True)


def test_a_proven_result():
    assert lines_of() == [
        "PROVEN  out",
        "  model       unet: 1,946,881 parameters in 68 tensors",
        "  device      cpu",
        "  compared    1 output and 12 layers compared",
        "  worst       y:0: 1.5e-06 of its scale (3.2e-06 absolute; tolerance 1e-04)",
        "  report      out/report.html",
        "  time        4.3 s",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param(
            {"verdict": "failed", "reason": "layer 3 (enc/conv, module enc.0) is the first"},
            "  compared    layer 3 (enc/conv, module enc.0) is the first",
            id="failed-names-the-first-layer",
        ),
        pytest.param(
            {"verdict": "failed"},
            "  kept        the result is kept, marked as failed (exit code 53)",
            id="failed-is-kept",
        ),
        pytest.param(
            {"verdict": "unproven", "reason": "no .meta file beside the checkpoint"},
            "  not proven  no .meta file beside the checkpoint",
            id="unproven-says-why",
        ),
        pytest.param(
            {"device_note": "no GPU was found"},
            "  device      cpu (no GPU was found)",
            id="device-fallback-is-said",
        ),
        pytest.param(
            {"non_finite_weights": [{"torch_name": f"w{i}"} for i in range(5)]},
            "  note        NaN or infinity in the checkpoint's w0, w1, w2 and 2 more",
            id="nan-in-weights",
        ),
        pytest.param(
            {"parameters": 1, "tensors": 1},
            "  model       unet: 1 parameter in 1 tensor",
            id="singular",
        ),
    ],
)
def test_what_a_summary_says(changes, line):
    assert line in lines_of(**changes)


def test_without_numbers_there_is_no_worst_tensor():
    nothing = {**PARITY, "worst": None, "max_abs": None, "max_rel": None}
    assert not any("worst" in line for line in lines_of(verdict="failed", parity=nothing))


def test_an_export():
    manifest = {
        "extract": {
            "result": {
                "variables": 12,
                "size_bytes": 1_500_000,
                "skipped": 3,
                "inputs": [{"tensor": "x:0", "shape": [None, 64, 48, 3]}],
                "outputs": [{"tensor": "y:0", "shape": None}, "z:0"],
                "reference": {"state": "absent", "reason": "a random graph"},
            }
        },
        "total_s": 1.0,
    }
    assert summary_lines(Path("e"), manifest, is_new=False) == [
        "EXPORTED  e  (made by an earlier run; nothing to do)",
        "  variables   12 (1.5 MB), 3 left out",
        "  inputs      x:0 [?, 64, 48, 3]",
        "  outputs     y:0 [unknown shape], z:0",
        "  reference   absent: a random graph",
        "  time        1.0 s",
    ]


@pytest.mark.parametrize(
    ("verdict", "color"), [("proven", "green"), ("failed", "red"), ("unproven", "yellow")]
)
def test_colors(verdict, color):
    assert verdict_color({"load": {"result": {"verdict": verdict}}}) == color


def test_errors_have_three_parts():
    assert error_lines(CheckpointMissing("It is gone.", "A file.", "Look.")) == [
        "Error: CheckpointMissing (exit code 10)",
        "  It is gone.",
        "  A file.",
        "  Look.",
    ]
    texts = {"happened": "Short.", "expected": "Long.", "remedy": "Copy."}
    failed = StageFailed({"class": "TruncatedData", "exit_code": 32, **texts})
    assert error_lines(failed)[0] == "Error: TruncatedData (exit code 32)"


def test_paths_below_the_current_folder_are_shown_short(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown_path(tmp_path / "here" / "a" / "b") == "a/b"
    assert shown_path(tmp_path / "there") == str(tmp_path / "there")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["batch", "m.csv", "--out", "o"], "what was done before is kept", id="batch"),
        pytest.param(["ckpt", "--model", "batch"], "nothing was kept", id="convert"),
        pytest.param([], "nothing was kept", id="nothing"),
    ],
)
def test_what_an_interrupted_command_leaves_behind(arguments, words):
    assert kept_words(arguments).startswith(words)


def test_the_traceback_of_a_users_code_follows_the_error():
    texts = {"happened": "It raised.", "expected": "A module.", "remedy": "Correct it."}
    lines = ["Traceback (most recent call last):", '  File "/a/net.py", line 3', "Odd: \x1b[2J"]
    failure = {"class": "FactoryFailed", "exit_code": 62, **texts, "user_traceback": lines}
    assert error_lines(StageFailed(failure))[3:] == [
        "  Correct it.",
        "    Traceback (most recent call last):",
        '      File "/a/net.py", line 3',
        r"    Odd: \x1b[2J",
    ]


def test_a_model_that_raised_shows_its_traceback():
    shown = lines_of(verdict="failed", traceback=["Traceback:", "  in net.py"])
    assert shown[4:6] == ["  traceback   Traceback:", "                in net.py"]


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        pytest.param({"reader": "tf", "result": {}}, None, id="tf"),
        pytest.param({"reader": "pure"}, "  reader      pure: without TensorFlow", id="pure"),
        pytest.param(
            {"reader": "both", "result": {"readers": {"compared": 1, "read_once": []}}},
            "  reader      both agree on 1 variable",
            id="both",
        ),
        pytest.param(
            {"reader": "both", "result": {"readers": {"compared": 47, "read_once": ["a", "b"]}}},
            "  reader      both agree on 47 variables; no second reader for 2 others",
            id="both-where-they-can",
        ),
    ],
)
def test_how_the_checkpoint_was_read(stage, line):
    manifest = {"load": {"result": RESULT}, "extract": stage, "total_s": 1.0}
    lines = summary_lines(Path("out"), manifest, is_new=True)
    assert [one for one in lines if one.startswith("  reader")] == ([] if line is None else [line])
