"""Stage 2: exports, results and mappings of strangers. Runs in the load environment."""

from __future__ import annotations

import io
import json
import os
import random
from pathlib import Path

from stage_load import load_model
from stage_load.errors import LoadError
from stage_load.protocol import EventStream
from stage_load.worker import serve
from tests.fuzz.mutation import mutate_bytes, mutate_files
from tests.fuzz.structure import (
    GRAPH,
    VARIABLES,
    mutate_header,
    mutate_json,
    rename_variable,
    reshape_variable,
)
from tests.fuzz.target import DONE, INPUT, OUT, Finding, outcome_of, read_files, write_files

_GOLDEN = Path(__file__).resolve().parent.parent / "contract" / "golden"
# What a job that is refused may leave: the proposals that people complete.
_MAPPING = "mapping.csv"
_WORDS = (b",", b";", b'"', b"\r\n", b"\0", b"\xef\xbb\xbf", b"skip", b"kept", b"constant 1e999")
_SIZES = (b"9" * 5000, b"(HWC)O->O(CHW) H=" + b"9" * 5000 + b" W=1 C=2", b"constant [" * 3000)
_OWN_MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(13, 4)
        self.image = nn.Conv2d(2, 6, (3, 2), groups=2)
        self.seen = nn.Linear(4 * 5 * 6, 5)
        self.score = nn.Linear(9, 3)
"""


def serve_load(export: Path, out: Path, **options: object) -> str:
    """One job, as the worker does it."""
    stream = io.StringIO()
    values = {"model": "unet", "device": "cpu", **options}
    paths = {"export": os.fspath(export), "out": os.fspath(out)}
    serve(
        [json.dumps({"job": "1", "command": "load", **paths, "options": values})],
        EventStream(stream),
    )
    outcome = outcome_of([json.loads(line) for line in stream.getvalue().splitlines()])
    left = sorted(os.listdir(out))
    if outcome != DONE and not set(left) <= {_MAPPING}:
        raise Finding(f"{outcome}, and {left} is left behind")
    return outcome


class ExportTarget:
    """An export: its graph, the headers, the bytes; for a model of the registry or of one's own."""

    def __init__(self, scratch: str) -> None:
        self._samples = [read_files(os.fspath(_GOLDEN / name)) for name in ("segmenter", "reader")]
        self._net = Path(scratch) / "net.py"
        self._net.write_text(_OWN_MODEL)

    def prepare(self, chance: random.Random, folder: str) -> None:
        files = dict(chance.choice((self._samples[0], *self._samples)))
        how = chance.randrange(10)
        if how < 6:
            files[GRAPH] = mutate_json(files[GRAPH], chance)
        elif how == 6:
            name = chance.choice([name for name in sorted(files) if name != GRAPH])
            files[name] = mutate_header(files[name], chance)
        elif how == 7:
            files = rename_variable(files, chance)
        elif how == 8:
            files = reshape_variable(files, chance)
        else:
            files = mutate_files(files, chance, [files[VARIABLES]])
        write_files(os.path.join(folder, INPUT), files)

    def run(self, folder: str) -> str:
        export = Path(folder, INPUT)

        graph = read_files(os.fspath(export)).get(GRAPH, b"")
        model = f"{self._net}:Net" if b"words:0" in graph else "unet"
        return serve_load(export, Path(folder, OUT), model=model)


class ResultTarget:
    """A result folder that somebody sends: load_model, which is not told to trust it."""

    def __init__(self, scratch: str) -> None:
        made = Path(scratch) / "result"
        made.mkdir()
        if serve_load(_GOLDEN / "segmenter", made) != DONE:
            raise ValueError("the result that is to be damaged could not be made")
        names = ("config.json", "model.safetensors")
        self._sample = {name: (made / name).read_bytes() for name in names}

    def prepare(self, chance: random.Random, folder: str) -> None:
        files = dict(self._sample)
        how = chance.randrange(8)
        if how < 5:
            files["config.json"] = mutate_json(files["config.json"], chance)
        elif how == 5:
            files["model.safetensors"] = mutate_header(files["model.safetensors"], chance)
        else:
            files = mutate_files(files, chance, [])
        write_files(os.path.join(folder, INPUT), files)

    def run(self, folder: str) -> str:
        try:
            load_model(Path(folder, INPUT))
        except LoadError as error:
            return type(error).__name__
        return DONE


class MappingTarget:
    """A mapping.csv, whose user may have edited it with anything."""

    def __init__(self, scratch: str) -> None:
        made = Path(scratch) / "mapped"
        made.mkdir()
        if serve_load(_GOLDEN / "segmenter", made) != DONE:
            raise ValueError("the mapping that is to be damaged could not be made")
        self._sample = (made / _MAPPING).read_bytes()

    def prepare(self, chance: random.Random, folder: str) -> None:
        data = self._sample
        if chance.randrange(3):
            for _ in range(chance.choice((1, 2, 4))):
                cells = data.split(b",")
                word = chance.choice((*_WORDS, *_SIZES, chance.choice(cells)))
                cells[chance.randrange(len(cells))] = word
                data = b",".join(cells)
        else:
            data = mutate_bytes(data, chance)
        write_files(os.path.join(folder, INPUT), {_MAPPING: data})

    def run(self, folder: str) -> str:
        mapping = os.path.join(folder, INPUT, _MAPPING)
        golden = _GOLDEN / "segmenter"
        return serve_load(golden, Path(folder, OUT), map=mapping, prove=False)
