"""Ten items that must fail, each in a way of its own (Python 3.7)."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from tests.fleet import networks, saving

SHARD = saving.PREFIX_NAME + ".data-00001-of-00003"
SIZE = 6
ARGUMENTS = json.dumps({"size": SIZE})


def truncate(folder: str) -> None:
    """Cut one of three shards."""
    path = os.path.join(folder, SHARD)
    os.truncate(path, os.path.getsize(path) // 2)


def flip_one_byte(folder: str) -> None:
    """Change a weight behind its checksum's back."""
    with open(os.path.join(folder, SHARD), "r+b") as file:
        file.seek(os.path.getsize(file.name) // 3)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))


def remove_index(folder: str) -> None:
    """Leave the values without their names."""
    os.remove(os.path.join(folder, saving.PREFIX_NAME + ".index"))


def put_text(folder: str) -> None:
    """Put a page of text where a frozen graph should be."""
    os.makedirs(folder)
    with open(os.path.join(folder, "graph.pb"), "w") as file:
        file.write("<html><body>404 Not Found</body></html>\n")


def put_pipe(folder: str) -> None:
    """Put a pipe that nobody writes to where a frozen graph should be."""
    os.makedirs(folder)
    os.mkfifo(os.path.join(folder, "graph.pb"))


def _save(build: Callable[[int], Any], **options: Any) -> Callable[[str], None]:
    return lambda folder: saving.save_checkpoints(partial(build, SIZE), [(folder, 9000)], **options)


def _save_endless(folder: str) -> None:
    saving.save_checkpoints(networks.endless, [(folder, 9001)])


def _then(*steps: Callable[[str], None]) -> Callable[[str], None]:
    def run(folder: str) -> None:
        for step in steps:
            step(folder)

    return run


class Bad(NamedTuple):
    """One item that must fail.

    Attributes:
        make: writes its folder.
        model: that is asked for.
        failure: class that must be told.
        ending: of the path below the folder.
    """

    make: Callable[[str], None]
    model: str
    failure: str
    ending: str = ""


_PERCEPTRON = _save(networks.perceptron, write_version=tf.train.SaverDef.V1)
_SHARDED = _save(networks.classifier, sharded=True)

BAD: Mapping[str, Bad] = {
    "truncated": Bad(_then(_SHARDED, truncate), "nets.py:Classifier", "TruncatedData"),
    "flipped": Bad(_then(_SHARDED, flip_one_byte), "nets.py:Classifier", "CorruptTensor"),
    "index-less": Bad(_then(_save(networks.unet), remove_index), "unet", "DataFileMissing"),
    "text": Bad(put_text, "nets.py:Separable", "NotTensorFlow", "/graph.pb"),
    "pipe": Bad(put_pipe, "nets.py:Separable", "NotReadable", "/graph.pb"),
    "no-unet": Bad(_PERCEPTRON, "unet", "ModelDoesNotFit"),
    "wrong-class": Bad(_SHARDED, "nets.py:Perceptron", "TensorsDoNotFit"),
    "other-function": Bad(_PERCEPTRON, "nets.py:OtherFunction", "ParityFailed"),
    "crash": Bad(_PERCEPTRON, "nets.py:Crash", "StageCrashed"),
    "endless": Bad(_save_endless, "nets.py:Perceptron", "ItemTimedOut"),
}


def add_bad_ones(folder: str) -> Iterator[Tuple[Dict[str, Any], str]]:
    """Write them below `folder`; yields the row of each and the class of its failure."""
    for name, bad in BAD.items():
        path = os.path.join("bad", name)
        bad.make(os.path.join(folder, path))
        arguments = "" if bad.model == "unet" else ARGUMENTS
        yield (
            {
                "checkpoint": path + bad.ending,
                "name": name,
                "model": bad.model,
                "model_arg": arguments,
            },
            bad.failure,
        )
