"""Names of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.batch.names import LONGEST_NAME_BYTES, made_name, name_key, why_not


@pytest.mark.parametrize(
    "name",
    ["a", "run-7", "Größe 3", "x.y.z", "a..b", "模型", "batch2", "console", "summary", "n" * 180],
)
def test_names_that_serve(name):
    assert why_not(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("a/b", "it leads to another folder", id="slash"),
        pytest.param("..", "it leads to another folder", id="parent"),
        pytest.param(".", "it leads to another folder", id="self"),
        pytest.param("a\0b", "it holds the invisible character '\\x00'", id="nul"),
        pytest.param("a\nb", "it holds the invisible character '\\n'", id="newline"),
        pytest.param("a\x1b[31m", "it holds the invisible character '\\x1b'", id="escape"),
        pytest.param("a\u202egnp", "it holds the invisible character '\\u202e'", id="bidi"),
        pytest.param("a\u200bb", "it holds the invisible character '\\u200b'", id="no-width"),
        pytest.param("a\u2028b", "it holds the invisible character '\\u2028'", id="line"),
        pytest.param("a:b", "some file systems do not take ':'", id="colon"),
        pytest.param("a\\b", "some file systems do not take '\\\\'", id="backslash"),
        pytest.param("what?", "some file systems do not take '?'", id="question"),
        pytest.param("con", "Windows does not take it", id="device"),
        pytest.param("LPT1.ckpt", "Windows does not take it", id="device-with-ending"),
        pytest.param("a.", "Windows does not take it", id="dot-at-the-end"),
        pytest.param("Batch", "the batch itself writes a file or folder of this name", id="batch"),
        pytest.param("SUMMARY.html", "the batch itself writes", id="summary"),
        pytest.param(".work", "the batch itself writes", id="work"),
        pytest.param(".hidden", "it begins with '.'", id="hidden"),
        pytest.param("--force", "it begins with '-'", id="like-an-option"),
        pytest.param("ü" * 91, f"it is longer than {LONGEST_NAME_BYTES} bytes", id="long"),
    ],
)
def test_names_that_no_folder_can_have(name, reason):
    assert str(why_not(name)).startswith(reason)


@pytest.mark.parametrize(
    ("first", "second"),
    [("ANN", "ann"), ("Straße", "STRASSE"), ("Mu\u0308ller", "Müller")],
)
def test_names_that_some_file_system_takes_for_one(first, second):
    assert name_key(first) == name_key(second)


@pytest.mark.parametrize(
    ("checkpoint", "options", "name"),
    [
        ("/data/runs/r7/ckpt", {}, "runs-r7-ckpt-2df6469739"),
        ("/data/runs/r7/ckpt", {"seed": 1}, "runs-r7-ckpt-f6033e2431"),
        ("/data/runs/r8/ckpt", {}, "runs-r8-ckpt-f0bb46ff49"),
        ("/runs/r7/model.ckpt-20", {}, "runs-r7-model.ckpt-20-8f0af0959f"),
        ("/runs/r7/model.ckpt-20.index", {}, "runs-r7-model.ckpt-20-8f0af0959f"),
        ("/x.tar.gz", {}, "x-e7b4b91f96"),
        ("/a b/c:d/<é>.pb", {"rule": ["x", "y"], "model": "unet"}, "a_b-c_d-é-a0e18971b4"),
    ],
)
def test_made_names_are_the_rows_alone(checkpoint, options, name):
    """Other digits than earlier versions made would convert everything again."""
    assert made_name(Path(checkpoint), options) == name


def test_made_names_serve_whatever_the_path_holds():
    for part in ("con", "..a..", "\u202e", "-x", "日" * 80, "a" * 300, " ", "\udcff"):
        name = made_name(Path("/") / part / part / part, {})
        assert why_not(name) is None
        assert len(name) <= 3 * 40 + 13
