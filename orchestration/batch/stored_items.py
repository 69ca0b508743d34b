"""Items as a file of their own in the batch's folder: every option said, every path from the root.

Such a file is an items file itself. Shards on other machines read it, and commands that are given
no items.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.batch.columns import CHECKPOINT, MODEL, NAME, WHERE
from orchestration.batch.files import write_text_over
from orchestration.batch.items import Item
from orchestration.batch.settings import BatchFolder
from orchestration.errors import BadItems
from orchestration.result_folder import writing_to
from orchestration.settings import ExtractOptions, LoadOptions
from orchestration.strict_json import decode_json

_HASH_DIGITS = 16
_SUFFIX = ".jsonl"


def canonical_text(items: Iterable[Item]) -> str:
    """JSON Lines from which equal items are read; equal items give equal text."""
    rows = (json.dumps(_row(item), ensure_ascii=False, sort_keys=True) for item in items)
    return "".join(f"{row}\n" for row in rows)


def items_hash(items: Iterable[Item]) -> str:
    """What tells one list of items from another."""
    return _text_hash(canonical_text(items))


def stored_path(items: Iterable[Item], folder: BatchFolder) -> Path:
    """Where `store_items` writes these items."""
    return folder.items / f"{items_hash(items)}{_SUFFIX}"


def store_items(items: Iterable[Item], folder: BatchFolder) -> Path:
    """Write `items/HASH.jsonl`, or mark the one that is there as the latest.

    Raises:
        DiskFull, OutputNotWritable: it cannot be written.
    """
    text = canonical_text(items)
    path = folder.items / f"{_text_hash(text)}{_SUFFIX}"
    with writing_to(folder.out):
        folder.items.mkdir(parents=True, exist_ok=True)
        write_text_over(path, text)
    return path


def latest_items(folder: BatchFolder) -> Path:
    """The items file of the latest run.

    Raises:
        BadItems: there has been none.
    """
    try:
        found = [path for path in folder.items.iterdir() if path.suffix == _SUFFIX]
    except OSError:
        found = []
    if not found:
        raise BadItems(
            f"No items are known in {folder.out}.",
            "A folder was expected in which a batch has run.",
            "Look at --out, or give the items: `python orchestrate.py batch ITEMS --out FOLDER`.",
        )
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


@dataclass(frozen=True)
class Listed:
    """An item as a list names it, without its options.

    Attributes:
        name: of its result folder, and of its records in the ledger.
        checkpoint: its path from the root.
        where: the row that asks for it, for people: "models.csv line 7".
    """

    name: str
    checkpoint: str
    where: str


def listed(items: Iterable[Item]) -> tuple[Listed, ...]:
    """Items as a list names them."""
    return tuple(Listed(i.name, os.fspath(i.settings.checkpoint), i.where) for i in items)


def stored_list(path: Path) -> tuple[Listed, ...]:
    """The items in a file that `store_items` has written, without a look at checkpoints.

    Raises:
        BadItems: it has been damaged since.
    """
    try:
        rows = [decode_json(line) for line in path.read_bytes().split(b"\n") if line]
        return tuple(Listed(*(str(row[key]) for key in (NAME, CHECKPOINT, WHERE))) for row in rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadItems(
            f"The items in {path} cannot be read: {error}.",
            "The file was expected to be as this program has written it.",
            "Give the items once more: `python orchestrate.py batch ITEMS --out FOLDER`.",
        ) from error


def _row(item: Item) -> dict[str, Any]:
    """A row that says everything, so that no option of a later command line changes it."""
    extract, load = item.settings.extract, item.settings.load
    options = _options(extract, load)
    return {
        NAME: item.name,
        WHERE: item.where,
        CHECKPOINT: os.fspath(item.settings.checkpoint),
        MODEL: load.model,
        **{column: cell for column, cell in options.items() if cell not in (None, [], {})},
    }


def _options(extract: ExtractOptions, load: LoadOptions) -> Mapping[str, Any]:
    """Column -> cell. Arguments go one by one: a file of arguments would come below defaults."""
    return {
        "model_arg": dict(load.model_args),
        "map": _text(load.map),
        "rule": list(load.transfer.rules),
        "allow_missing": list(load.transfer.allow_missing),
        "allow_unused": list(load.transfer.allow_unused),
        "adapt": list(load.transfer.adapt),
        "freeze": list(load.transfer.freeze),
        "dtype": load.transfer.dtype,
        "tolerance": load.tolerance,
        "prove": load.prove,
        "reader": extract.reader,
        "step": extract.step,
        "checkpoint_format": extract.checkpoint_format,
        "data_folder": _text(extract.data_folder),
        "tags": _names(extract.tags),
        "signature": extract.signature,
        "prefer_ema": extract.prefer_ema,
        "keep_optimizer": extract.keep_optimizer,
        "inputs": _names(extract.inputs),
        "outputs": _names(extract.outputs),
        "input_shape": {name: list(shape) for name, shape in extract.input_shapes.items()},
        "reference_mb": extract.reference_mb,
        "seed": extract.seed,
    }


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _text(path: Path | None) -> str | None:
    return None if path is None else os.fspath(path)


def _names(names: Iterable[str]) -> list[str]:
    """Names as the option takes them, where a comma stands between two."""
    return [name.replace(",", "\\,") for name in names]
