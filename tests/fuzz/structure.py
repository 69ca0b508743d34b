"""Damages what files say, not how they are written: JSON that still parses, headers that still fit.

Only the standard library; runs on CPython 3.7.
"""

from __future__ import annotations

import json
import random
import struct
from typing import Any, Iterator, List, Mapping, Tuple

from tests.fuzz.mutation import Files

GRAPH, VARIABLES, REFERENCE = "graph.json", "variables.safetensors", "reference.safetensors"

_DEEP: Any = []
for _ in range(300):
    _DEEP = [_DEEP]

_VALUES: Tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    2**31,
    2**40,
    2**63,
    2**64,
    10**400,
    -(2**63),
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "0",
    "NHWC",
    "NCHW",
    "SAME",
    "EXPLICIT",
    "float32",
    "x" * 100_000,
    "a\0b",
    "../../../../tmp/x",
    "/etc/passwd",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "\x1b]0;title\x07\x1b[31m",
    "a\u202eb",
    "a\nb\r\nc",
    "\ud800",
    "__metadata__",
    "os:system",
    "stage_load.models.unet.family:os.system",
    [],
    {},
    [[]],
    [None],
    [0],
    [-1, 2**40],
    [1] * 70,
    [2**60, 0],
    {"": None},
    {"__class__": "x"},
    _DEEP,
)


def _places(value: Any) -> Iterator[Tuple[Any, Any]]:
    """Every (container, key) below a JSON value."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in list(keys):
            yield container, key
            if isinstance(container[key], (dict, list)):
                waiting.append(container[key])


def _change(document: Any, chance: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    container, key = chance.choice(places)
    what = chance.randrange(12)
    if what == 0:
        del container[key]
    elif what == 1 and isinstance(container, list):
        container.insert(key, container[key])
    elif what == 2 and isinstance(container, dict):
        container[str(chance.choice(_VALUES))[:200]] = container.pop(key)
    elif what <= 5:
        # Something of the same type from elsewhere: names that lead to the wrong thing, circles.
        alike = [c[k] for c, k in places if type(c[k]) is type(container[key])]
        container[key] = json.loads(json.dumps(chance.choice(alike)))
    elif what == 6 and isinstance(container, list):
        chance.shuffle(container)
    else:
        container[key] = chance.choice(_VALUES)


def mutate_json(text: bytes, chance: random.Random) -> bytes:
    """Change a few values of a JSON document."""
    document = json.loads(text.decode())
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change(document, chance)
    result = json.dumps(document)
    if chance.randrange(20) == 0:
        # A name that comes twice, which dict() would never show.
        result = result.replace("{", '{"version": 1, "name": "x", "format": "tf1-export", ', 1)
    return result.encode()


def split_safetensors(data: bytes) -> Tuple[Any, bytes]:
    """Header and data of a file that is whole."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length].decode()), data[8 + length :]


def join_safetensors(header: Any, data: bytes) -> bytes:
    """The opposite of `split_safetensors`."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def mutate_header(data: bytes, chance: random.Random) -> bytes:
    """Change a few values of a safetensors file's header; its length stays right."""
    header, rest = split_safetensors(data)
    return join_safetensors(mutate_json(json.dumps(header).encode(), chance), rest)


def rename_variable(files: Mapping[str, bytes], chance: random.Random) -> Files:
    """Give one variable another name everywhere, so that all files agree on it."""
    old = chance.choice(_variable_names(files))
    texts = [value for value in _VALUES if isinstance(value, str)]
    new = chance.choice(
        [*texts, "\u0000" * 3, "a/" * 50_000, chance.choice(_variable_names(files))]
    )
    return _replaced(files, json.dumps(old), json.dumps(new))


def reshape_variable(files: Mapping[str, bytes], chance: random.Random) -> Files:
    """Give one variable another shape of as many elements, or of none, everywhere."""
    changed = dict(files)
    graph = json.loads(files[GRAPH].decode())
    entry = chance.choice(graph["variables"])
    header, data = split_safetensors(files[VARIABLES])
    begin, end = header[entry["name"]]["data_offsets"]
    elements = 1
    for size in entry["shape"]:
        elements *= size
    empty: List[List[int]] = [[0], [0, 2**60], [2**63, 0], [0, 2**40, 2**40], [0] * 40]
    full = [
        [elements],
        [1] * 40 + [elements],
        [elements, 1],
        [1, *entry["shape"]],
        [1] * 70 + [elements],
    ]
    shape = chance.choice(chance.choice((empty, full)))
    entry["shape"] = header[entry["name"]]["shape"] = shape
    if 0 in shape:
        data = data[:begin] + data[end:]
        for name, value in header.items():
            if name != "__metadata__":
                moved = [o - (end - begin) if o >= end else o for o in value["data_offsets"]]
                value["data_offsets"] = moved
    changed[GRAPH] = json.dumps(graph).encode()
    changed[VARIABLES] = join_safetensors(header, data)
    return changed


def _variable_names(files: Mapping[str, bytes]) -> List[str]:
    return [entry["name"] for entry in json.loads(files[GRAPH].decode())["variables"]]


def _replaced(files: Mapping[str, bytes], old: str, new: str) -> Files:
    """Replace a JSON text in all files of an export."""
    changed = dict(files)
    changed[GRAPH] = files[GRAPH].replace(old.encode(), new.encode())
    for name in (VARIABLES, REFERENCE):
        if name in files:
            header, data = split_safetensors(files[name])
            text = json.dumps(header).replace(old + ":", new + ":")
            changed[name] = join_safetensors(text.encode(), data)
    return changed
