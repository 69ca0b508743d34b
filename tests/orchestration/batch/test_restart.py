"""A batch that is run again does what is not right any more, and that alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOME_FAILED = 3


class Batch:
    """Two items of which one, "item", changes."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.out: Path = machine.folder / "out"
        self.result = self.out / "item"
        self.options: dict[str, Any] = {}
        for name in ("item", "other"):
            machine.checkpoint("fine", f"checkpoints/{name}")

    def run(self, *options: str) -> tuple[int, str]:
        """Exit code, and what was said."""
        rows = [
            {"checkpoint": f"checkpoints/{name}", "name": name, "model": "tiny", **more}
            for name, more in (("item", self.options), ("other", {}))
        ]
        items = self.machine.folder / "items.jsonl"
        items.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = self.machine.run("batch", items, "--out", "out", *options)
        return done.returncode, done.stdout + done.stderr

    def states(self, name: str) -> list[str]:
        """States of all attempts at an item."""
        paths = sorted((self.out / "batch" / "ledger").glob(f"{name}.*.json"))
        return [json.loads(path.read_text())["state"] for path in paths]


@pytest.fixture
def batch(machine: Any) -> Batch:
    batch = Batch(machine)
    assert batch.run()[0] == 0
    return batch


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def change_input(batch: Batch) -> None:
    batch.machine.checkpoint("FINE", "checkpoints/item")


def lengthen_input(batch: Batch) -> None:
    batch.machine.checkpoint("fine as well", "checkpoints/item")


def change_option(batch: Batch) -> None:
    batch.options["tolerance"] = 0.25


def change_result(batch: Batch) -> None:
    (batch.result / "model.safetensors").write_text("changed by hand")


def remove_file(batch: Batch) -> None:
    (batch.result / "model.safetensors").unlink()


def edit_manifest(batch: Batch) -> None:
    path = batch.result / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["load"]["result"]["verdict"]
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "reason", "is_kept"),
    [
        pytest.param(change_input, "its input has changed since: model.", False, id="input"),
        pytest.param(lengthen_input, "it was made with other checkpoint,", False, id="size"),
        pytest.param(change_option, "it was made with other model, device", False, id="option"),
        pytest.param(
            change_result,
            "files of the result have changed since: model.safetensors",
            True,
            id="edited",
        ),
        pytest.param(
            remove_file,
            "files of the result have changed since: model.safetensors",
            True,
            id="half-gone",
        ),
        pytest.param(edit_manifest, "its manifest has changed since", True, id="manifest"),
    ],
)
def test_what_is_not_right_any_more_is_done_again_and_nothing_else(
    batch: Batch, change: Callable[[Batch], None], reason: str, is_kept: bool
) -> None:
    change(batch)
    before = content(batch.result)
    code, said = batch.run()
    assert code == 0, said
    assert f"item is done again: {reason}" in said
    assert "2 done, 0 failed, 0 left" in said
    assert batch.states("item") == ["done", "done"]
    assert batch.states("other") == ["done"]
    # What somebody has changed is not deleted.
    kept = batch.out / "batch" / "replaced" / "item.2"
    assert (content(kept) if kept.exists() else None) == (before if is_kept else None)


def test_a_result_stays_until_there_is_a_better_one(batch: Batch) -> None:
    before = content(batch.result)
    batch.machine.checkpoint("fail", "checkpoints/item")
    code, said = batch.run()
    assert code == SOME_FAILED, said
    assert batch.states("item") == ["done", "failed"]
    assert content(batch.result) == before
    assert (batch.machine.folder / "checkpoints/item/model.ckpt.index").read_text() != "fine"


def test_only_verifying_reads_files_that_look_the_same(batch: Batch) -> None:
    path = batch.result / "model.safetensors"
    times = path.stat()
    with path.open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert batch.run()[0] == 0
    assert batch.states("item") == ["done"]
    code, said = batch.run("--verify")
    assert code == 0, said
    assert "files of the result have changed since: model.safetensors" in said
    assert batch.states("item") == ["done", "done"]


def test_the_input_is_never_replaced(batch: Batch) -> None:
    inside = batch.result / "checkpoint"
    batch.machine.checkpoint("fine", "checkpoints/item").rename(inside)
    (batch.machine.folder / "checkpoints" / "item").symlink_to(inside)
    batch.options["tolerance"] = 0.25
    code, said = batch.run()
    assert code == SOME_FAILED, said
    assert "holds the input of this run" in said
    assert (inside / "model.ckpt.index").is_file()
