"""Damaged files end in an error in words, and leave nothing behind; the worker goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

SEGMENTER = Path(__file__).parents[1] / "contract" / "checkpoints" / "segmenter"
PREFIX = "model.ckpt"
DATA = f"{PREFIX}.data-00000-of-00001"
BIT = 1 << 3


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def flip(path: Path, step: int) -> None:
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), step):
        content[place] ^= BIT
    path.write_bytes(bytes(content))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(str(SEGMENTER), str(folder))
    return folder


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        pytest.param(lambda at: cut(at / DATA, -1), "TruncatedData", id="short-shard"),
        pytest.param(lambda at: flip(at / DATA, 64), "CorruptTensor", id="bits-in-tensors"),
        pytest.param(
            lambda at: flip(at / f"{PREFIX}.index", 1000), "CorruptIndex", id="bits-in-index"
        ),
        pytest.param(lambda at: (at / DATA).unlink(), "DataFileMissing", id="no-shard"),
    ],
)
def test_damage_has_its_error(
    damage: Callable[[Path], Any], error: str, checkpoint: Path, tmp_path: Path, extract: Any
) -> None:
    damage(checkpoint)
    out = tmp_path / "out"
    out.mkdir()
    event = extract(checkpoint / PREFIX, out)
    assert (event["event"], event["error"]["class"]) == ("failed", error)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: cut(path, -1), id="cut"),
        pytest.param(lambda path: cut(path, 0), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"\x12" * 5000), id="deep"),
        pytest.param(lambda path: path.write_bytes(b"\x12\xff\xff\xff\xff\x7f"), id="2**34-bytes"),
    ],
)
def test_without_its_graph_a_checkpoint_still_leaves(
    damage: Callable[[Path], Any], checkpoint: Path, tmp_path: Path, run_worker: Any
) -> None:
    damage(checkpoint / f"{PREFIX}.meta")
    out = tmp_path / "out"
    out.mkdir()
    job = {"job": "1", "command": "extract", "checkpoint": str(checkpoint), "out": str(out)}
    events = run_worker([job])
    assert events[-1]["event"] == "done", events[-1]
    told = [event["message"] for event in events if event["event"] == "warning"]
    assert any("graph is left out" in message for message in told), told
