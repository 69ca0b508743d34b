"""Which checkpoints a pattern names, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.batch.problems import Problems
from orchestration.batch.rows import read_source

FILES = (
    "runs/b/ckpt/checkpoint",
    "runs/b/ckpt/model.ckpt-20.index",
    "runs/b/ckpt/model.ckpt-20.meta",
    "runs/b/ckpt/model.ckpt-20.data-00000-of-00002",
    "runs/b/ckpt/model.ckpt-20.data-00001-of-00002",
    "runs/b/ckpt/model.ckpt-3.index",
    "runs/b/ckpt/model.ckpt-3.data-00000-of-00001",
    "runs/a/ckpt/checkpoint",
    "runs/a/ckpt/old-00000-of-00001",
    "saved/1/saved_model.pb",
    "saved/1/variables/variables.index",
    "saved/1/variables/variables.data-00000-of-00001",
    "saved/1/assets/words.txt",
    "saved/1/step/model.ckpt-1.index",
    "frozen/x.pb",
    "frozen/y.tar.gz",
    "out/done/model.safetensors",
    "we[i]rd/model.ckpt.index",
)


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        pytest.param("runs/*/ckpt", ["runs/a/ckpt", "runs/b/ckpt"], id="folders"),
        pytest.param("runs/*/ckpt/", ["runs/a/ckpt", "runs/b/ckpt"], id="folders-with-a-slash"),
        pytest.param("runs/*/ckpt/checkpoint", ["runs/a/ckpt", "runs/b/ckpt"], id="state-files"),
        pytest.param("runs/*/ckpt/model.ckpt-20", ["runs/b/ckpt/model.ckpt-20"], id="prefix"),
        pytest.param("runs/?/ckpt/old", ["runs/a/ckpt/old"], id="prefix-of-an-older-format"),
        pytest.param(
            "runs/b/ckpt/model.ckpt-*",
            ["runs/b/ckpt/model.ckpt-20", "runs/b/ckpt/model.ckpt-3"],
            id="all-files-of-two-prefixes",
        ),
        pytest.param(
            "runs/*/ckpt/*.index",
            ["runs/b/ckpt/model.ckpt-20", "runs/b/ckpt/model.ckpt-3"],
            id="one-file-each",
        ),
        pytest.param(
            "runs/*/ckpt/*",
            ["runs/a/ckpt/old", "runs/b/ckpt/model.ckpt-20", "runs/b/ckpt/model.ckpt-3"],
            id="state-files-beside-what-they-tell-of",
        ),
        pytest.param(
            "runs/**",
            ["runs/a/ckpt/old", "runs/b/ckpt/model.ckpt-20", "runs/b/ckpt/model.ckpt-3"],
            id="everything-below",
        ),
        pytest.param("saved/*", ["saved/1"], id="saved-model"),
        pytest.param("saved/*/saved_model.pb", ["saved/1"], id="file-of-a-saved-model"),
        pytest.param("saved/*/variables/*", ["saved/1"], id="variables-of-a-saved-model"),
        pytest.param("frozen/*", ["frozen/x.pb", "frozen/y.tar.gz"], id="single-files"),
        pytest.param("frozen/[xz].pb", ["frozen/x.pb"], id="set"),
        pytest.param("*/done", [], id="results-are-no-items"),
        pytest.param("we[[]i]rd/*", ["we[i]rd/model.ckpt"], id="bracket-in-a-name"),
    ],
)
def test_checkpoints_of_a_pattern(tree, pattern, found):
    if not found:
        with pytest.raises(Exception, match="Nothing is found"):
            read_source(pattern, tree / "out", Problems(pattern))
        return
    source = read_source(pattern, tree / "out", Problems(pattern))
    assert [(row.where, dict(row.cells)) for row in source.rows] == [
        (path, {"checkpoint": path}) for path in found
    ]
    assert source.folder == tree


def test_a_pattern_may_start_at_the_root_or_at_home(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree))
    for pattern in (f"{tree}/frozen/*.pb", "~/frozen/*.pb"):
        [row] = read_source(pattern, tree / "out", Problems(pattern)).rows
        assert row.cells == {"checkpoint": f"{tree}/frozen/x.pb"}
