"""A folder with checkpoints, and what asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.batch.command import batch
from orchestration.batch.items import Item, read_items

# As in the whole program: click keeps the help option that a command was first asked for.
HELP = {"help_option_names": ["-h", "--help"]}
Read = Callable[..., tuple[Item, ...]]


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """The current folder, with checkpoints of different sizes and files that options name."""
    sizes_bytes = {"a": 300, "b": 20, "c": 1000}
    for name, size_bytes in sizes_bytes.items():
        folder = tmp_path / "runs" / name / "ckpt"
        folder.mkdir(parents=True)
        (folder / "model.ckpt-7.index").write_bytes(b"i" * 5)
        (folder / "model.ckpt-7.data-00000-of-00001").write_bytes(b"d" * size_bytes)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "net.py").write_text("def Net(): ...\n")
    (tmp_path / "map.csv").touch()
    (tmp_path / "args.json").write_text('{"depth": 4, "name": "wide"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(lab) -> Read:
    """Reads items as the command does: text of a file, or a glob; options of the command line."""

    def read_these(content: str, *options: str, name: str = "models.csv") -> tuple[Item, ...]:
        source = content
        if "\n" in content:
            (lab / name).write_text(content, encoding="utf-8")
            source = name
        words = [source, "--out", "converted", *options]
        given = batch.make_context("batch", words, **HELP).params
        return read_items(source, given, lab / "converted")

    return read_these
