"""Writes the fleet: 200 small checkpoints of six kinds, ten of them bad, and their items file.

    python3.7 -m tests.fleet.build FOLDER [--tiny COUNT]

Run from the repository's root by CPython 3.7 with TensorFlow 1.15. FOLDER then holds `items.csv`,
the checkpoints and modules that its rows name, and `expected.json`: for each item that must fail
its name and the class of its failure. With --tiny it holds COUNT checkpoints of one dense layer.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import shutil
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from tests.fleet import networks, saving
from tests.fleet.bad import add_bad_ones

NETS = "nets.py"
COLUMNS = ("checkpoint", "name", "model", "model_arg", "map", "rule")
MAP = (
    ("first/kernel", "first.weight"),
    ("first/bias", "first.bias"),
    ("second/kernel", "second.weight"),
    ("second/bias", "second.bias"),
    ("scores/kernel", "scores.weight"),
    ("scores/bias", "scores.bias"),
)
MAP_FILE, RULE = "perceptron.csv", r"(first|second|scores)/bias -> \1.bias"
# Folders as people name them.
ODD_FOLDERS = ("a b", "c,d", "e'f", 'g"h', "-i", "j;k", "ü", "$l", "m%20n", "o[p]")

Row = Dict[str, Any]


class Kind(NamedTuple):
    """One kind of checkpoint.

    Attributes:
        build: makes the graph of one size.
        save: writes it to several places, with weights of several seeds.
        model: what makes it in torch.
        count: good ones.
        sizes: of the networks, taken in turn.
        ending: of the path that is given.
    """

    build: Callable[[int], Any]
    save: Callable[[Callable[[], Any], List[saving.Place]], None]
    model: str
    count: int
    sizes: Tuple[int, ...]
    ending: str = ""


KINDS: Mapping[str, Kind] = {
    "unet": Kind(networks.unet, saving.save_checkpoints, "unet", 32, (4, 5, 9, 13)),
    "classifier": Kind(
        networks.classifier,
        partial(saving.save_checkpoints, sharded=True),
        NETS + ":Classifier",
        32,
        (6, 7, 11, 40),
    ),
    "perceptron": Kind(
        networks.perceptron,
        partial(saving.save_checkpoints, write_version=tf.train.SaverDef.V1),
        NETS + ":Perceptron",
        32,
        (4, 5, 8, 300),
    ),
    "words": Kind(networks.word_bag, saving.save_models, NETS + ":WordBag", 32, (5, 6, 9, 4001)),
    "separable": Kind(
        networks.separable, saving.save_frozen, NETS + ":Separable", 31, (4, 5, 7, 10), "/graph.pb"
    ),
    "sequence": Kind(
        networks.sequence, saving.save_keras, NETS + ":Sequence", 31, (5, 6, 8, 12), "/model.h5"
    ),
}


def add_kind(name: str, kind: Kind, folder: str, seed: int) -> List[Row]:
    """Write the good checkpoints of one kind; returns their rows."""
    rows: List[Row] = []
    for order, size in enumerate(kind.sizes):
        places = []
        for number in range(order, kind.count, len(kind.sizes)):
            own = f"{name}-{number:02}"
            if number < len(ODD_FOLDERS):
                own = os.path.join(ODD_FOLDERS[number], own)
            path = os.path.join("checkpoints", own) + kind.ending
            places.append((os.path.join(folder, path), seed + number))
            rows.append(row(path, f"{name}-{number:02}", kind.model, size))
        kind.save(partial(kind.build, size), places)
    return rows


def row(path: str, name: str, model: str, size: int) -> Row:
    """A row of the items file."""
    arguments = {} if model == "unet" else {"size": size}
    return {
        "checkpoint": path,
        "name": name,
        "model": model,
        "model_arg": json.dumps(arguments) if arguments else "",
    }


def add_mappings(rows: List[Row]) -> None:
    """Let some rows bring a mapping, a rule, or no name."""
    for number, one in enumerate(rows):
        if one["model"].endswith("Perceptron"):
            one.update([{"map": MAP_FILE}, {"rule": RULE}, {}][number % 3])
        if number % 10 == 7:
            one["name"] = ""


def write_items(folder: str, rows: List[Row]) -> None:
    """Write `items.csv` and the files that its rows name."""
    here = os.path.dirname(os.path.abspath(__file__))
    shutil.copy(os.path.join(here, NETS), os.path.join(folder, NETS))
    with open(os.path.join(folder, MAP_FILE), "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("tf_name", "torch_name"), *MAP])
    with open(os.path.join(folder, "items.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def build_fleet(folder: str) -> None:
    """Write everything."""
    rows: List[Row] = []
    for number, (name, kind) in enumerate(KINDS.items()):
        rows += add_kind(name, kind, folder, 1000 * number)
    add_mappings(rows)
    expected = {}
    for bad_row, failure in add_bad_ones(folder):
        # In between, not in a lump: they meet workers that have more to do.
        rows.insert(17 * (len(expected) + 1), bad_row)
        expected[bad_row["name"]] = failure
    write_items(folder, rows)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1)


def build_tiny(folder: str, count: int) -> None:
    """Write many checkpoints that hold next to nothing."""
    names = [f"tiny-{number:04}" for number in range(count)]
    places = [(os.path.join(folder, name), number) for number, name in enumerate(names)]
    saving.save_checkpoints(networks.tiny, places)
    write_items(
        folder, [{"checkpoint": name, "name": name, "model": NETS + ":Tiny"} for name in names]
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.build")
    parser.add_argument("folder", help="made when it is not there")
    parser.add_argument("--tiny", type=int, metavar="COUNT", help="this many of one small layer")
    arguments = parser.parse_args()
    tf.get_logger().setLevel(logging.ERROR)
    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.tiny is None:
        build_fleet(arguments.folder)
    else:
        build_tiny(arguments.folder, arguments.tiny)


if __name__ == "__main__":
    main()
