"""Items as a file from which equal items are read."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch.items import Item
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stored_items import (
    canonical_text,
    items_hash,
    latest_items,
    listed,
    store_items,
    stored_list,
    stored_path,
)
from orchestration.errors import BadItems, OutputNotWritable

# Column -> values that people's rows may hold; names with what CSV, JSON and commas may trip over.
TEXTS = (
    "a",
    "x, y",
    '"q"',
    "tab\there",
    "l\u00e4nge",
    "a\u2028b",
    "#1",
    "[0-9]",
    '{"a": 1}',
    r"\d+\,",
    "  edge ",
)
PATTERNS = dict.fromkeys(("allow_missing", "allow_unused", "adapt", "freeze"), TEXTS)
NAMES = dict.fromkeys(("inputs", "outputs", "tags"), ("a:0", r"b\,c", "d,e", "f [1]"))
SINGLE: dict[str, tuple[Any, ...]] = {
    "model": ("unet", "net.py:Net", "pkg.module:Net"),
    "map": ("map.csv",),
    "dtype": ("float16", "bfloat16"),
    "tolerance": (1e-4, 0.1, 1e-300, 0.30000000000000004),
    "prove": (True, False),
    "reader": ("auto", "tf", "both"),
    "step": (0, 7, 10**12),
    "checkpoint_format": ("V1", "V2"),
    "data_folder": ("elsewhere",),
    "signature": TEXTS,
    "prefer_ema": (True, False),
    "keep_optimizer": (True, False),
    "reference_mb": (0, 256),
    "seed": (0, 1, 2**32 - 1),
    "model_args": ({"depth": 1}, {"name": None, "deep": {"x": [1.5, "1"]}}, "args.json"),
    "model_arg": ({"name": "unet"}, {"number": "3", "real": 1e-7}, ["flag=true", "text=a=b"]),
    "input_shape": ({"a:0": [1, 8, 3]}, {"b=c": []}),
}


def random_row(draw: random.Random, number: int) -> dict[str, Any]:
    """A row with any of the columns, each with any of its values."""
    row: dict[str, Any] = {"checkpoint": f"runs/{draw.choice('abc')}/ckpt", "seed": number}
    for column, values in SINGLE.items():
        if draw.random() < 0.3:
            row[column] = draw.choice(values)
    for column, texts in {**PATTERNS, **NAMES}.items():
        if draw.random() < 0.3:
            row[column] = draw.sample(texts, draw.randint(1, 3))
    if draw.random() < 0.3:
        row["rule"] = [f"{text} -> {text}" for text in draw.sample(TEXTS, 2)]
    return {**row, "name": f"n{number}"} if draw.random() < 0.5 else row


@pytest.mark.parametrize("seed", range(5))
def test_what_was_written_is_read_again(lab, read, seed):
    draw = random.Random(seed)
    rows = [random_row(draw, number) for number in range(60)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    items = read(
        text,
        *("--model", "unet", "--no-prove", "--model-arg", "depth=9", "--freeze", " x"),
        *("--model-args", "args.json", "--step", "3"),
        name="models.jsonl",
    )
    stored = canonical_text(items)
    again = read(stored, name="stored.jsonl")
    assert again == items
    assert [item.where for item in again] == [item.where for item in items]
    assert canonical_text(again) == stored
    # Neither another current folder nor the options of another command line change anything.
    os.chdir("/")
    (lab / "elsewhere" / "stored.jsonl").write_text(stored, encoding="utf-8")
    options = ("--tolerance", "0.5", "--no-prove", "--seed", "3", "--model", "other")
    # A package's folder is the current one, as it is for the single command.
    assert read(str(lab / "elsewhere" / "stored.jsonl"), *options) == tuple(
        with_model_folder(item, Path("/")) for item in items
    )


def with_model_folder(item: Item, folder: Path) -> Item:
    load = replace(item.settings.load, model_folder=folder)
    return replace(item, settings=replace(item.settings, load=load))


def test_the_text_says_every_option(lab, read):
    items = read(
        "checkpoint,model,name,tolerance,prove,seed,model_arg\n"
        "runs/b/ckpt,net.py:Net,b,1e-3,no,5,depth=3\nruns/a/ckpt,unet,a,,,,\n"
    )
    usual = {
        "keep_optimizer": False,
        "prefer_ema": False,
        "prove": True,
        "reader": "auto",
        "reference_mb": 256,
        "seed": 0,
        "tolerance": 1e-4,
    }
    assert [json.loads(line) for line in canonical_text(items).splitlines()] == [
        usual
        | {
            "checkpoint": f"{lab}/runs/b/ckpt",
            "model": f"{lab}/net.py:Net",
            "model_arg": {"depth": 3},
            "name": "b",
            "prove": False,
            "seed": 5,
            "tolerance": 1e-3,
            "where": "models.csv line 2",
        },
        usual
        | {
            "checkpoint": f"{lab}/runs/a/ckpt",
            "model": "unet",
            "name": "a",
            "where": "models.csv line 3",
        },
    ]


def test_the_latest_file_is_the_one_that_was_stored_last(lab, read):
    folder = BatchFolder(lab / "converted")
    first = read("checkpoint,model,name\nruns/a/ckpt,unet,a\n")
    second = read("checkpoint,model,name\nruns/a/ckpt,unet,a\nruns/b/ckpt,unet,b\n")
    assert store_items(first, folder) == stored_path(first, folder)
    os.utime(stored_path(first, folder), (1, 1))
    path = store_items(second, folder)
    assert path == folder.items / f"{items_hash(second)}.jsonl"
    assert latest_items(folder) == path
    assert stored_list(path) == listed(second)
    os.utime(path, (2, 2))
    store_items(first, folder)
    assert stored_list(latest_items(folder)) == listed(first)
    # Nothing temporary is left.
    assert len(list(folder.items.iterdir())) == 2


def test_a_checkpoint_that_is_gone_stops_no_other_item(lab, read):
    items = read("checkpoint,model,name\nruns/a/ckpt,unet,a\nruns/b/ckpt,unet,b\n")
    path = store_items(items, BatchFolder(lab / "converted"))
    (lab / "runs" / "a" / "ckpt").rename(lab / "gone")
    again = read(str(path))
    assert [item.settings for item in again] == [item.settings for item in items]
    assert [item.size_bytes for item in again] == [0, 25]
    # In people's own files it is a wrong row.
    with pytest.raises(BadItems, match="has 1 mistake"):
        read("models.csv")


def test_folders_without_items_and_damaged_files_are_told(lab, read):
    folder = BatchFolder(lab / "converted")
    with pytest.raises(BadItems, match="No items are known in"):
        latest_items(folder)
    path = store_items(read("checkpoint,model\nruns/a/ckpt,unet\n"), folder)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(BadItems, match=f"The items in {path} cannot be read"):
        stored_list(path)


def test_items_that_cannot_be_stored_are_told(lab, read):
    (lab / "file").touch()
    with pytest.raises(OutputNotWritable):
        store_items(read("checkpoint,model\nruns/a/ckpt,unet\n"), BatchFolder(Path("file")))
