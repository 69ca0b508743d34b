"""Our messages and TensorFlow's read the same bytes alike, and refuse the same bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Iterator, Tuple

import pytest
from google.protobuf.message import DecodeError as NativeDecodeError

from stage_extract.messages import native, pure
from stage_extract.messages.wire import DecodeError
from tests.extract.messages.plain import plain

CHECKPOINTS = Path(__file__).parents[2] / "contract" / "checkpoints"
META_FILES = sorted(CHECKPOINTS.glob("*/*.meta"))
MUTATIONS = 600
# What protobuf lets pass and no writer of proto3 makes: groups, and tags that are none (a last byte
# of 0, numbers beyond 29 bits).
ONLY_OURS = "wire type [34]|no field"
# protobuf says so, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:Unexpected end-group tag")


def ours(name: str, data: bytes) -> Any:
    """Give what our message says, or None if it refuses."""
    message = getattr(pure, name)()
    try:
        assert message.ParseFromString(data) == len(data)
    except DecodeError:
        return None
    return plain(message)


def theirs(name: str, data: bytes) -> Any:
    """Give what protobuf's message says, or None if it refuses, or stops before the end."""
    message = getattr(native, name)()
    try:
        consumed_bytes = message.ParseFromString(data)
    except (NativeDecodeError, RuntimeError):
        return None
    return plain(message) if consumed_bytes == len(data) else None


@pytest.mark.parametrize("path", META_FILES, ids=lambda path: path.parent.name)
def test_a_graph_is_read_alike(path: Path) -> None:
    data = path.read_bytes()
    expected = theirs("MetaGraphDef", data)
    assert len(expected["graph_def"]["node"]) > 100
    assert ours("MetaGraphDef", data) == expected


def test_strangers_graphs_are_read_alike(request: Any) -> None:
    corpus = request.config.getoption("--corpus")
    kinds = {".meta": "MetaGraphDef", "saved_model.pb": "SavedModel", ".pb": "GraphDef"}
    files = [
        (path, name)
        for path in sorted(corpus.rglob("*"))
        for name in [next((kinds[end] for end in kinds if path.name.endswith(end)), None)]
        if name is not None and path.is_file()
    ]
    if not files:
        pytest.skip(f"the collection of strangers' checkpoints is not at {corpus}")
    for path, name in files:
        data = path.read_bytes()
        expected = theirs(name, data)
        assert expected is not None, path
        assert ours(name, data) == expected, path


def small_messages() -> Iterator[Tuple[str, bytes]]:
    """Give serialized messages with every kind of field."""
    node = native.NodeDef(name="conv/é", op="Conv2D", input=["x", "w:1", "^c"], device="/gpu:0")
    node.attr["T"].type = 1
    node.attr["strides"].list.i.extend([1, 2, 2, -1])
    node.attr["mixed"].list.f.extend([0.5, float("inf")])
    node.attr["mixed"].list.b.extend([True, False])
    node.attr["mixed"].list.s.append(b"\xff\x00")
    node.attr["shape"].shape.dim.add(size=-1, name="batch")
    node.attr["f"].func.name = "cond"
    node.attr["f"].func.attr["N"].i = -(2**63)
    node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.extend([1.5, -2.25])
    node.attr["value"].tensor.half_val.extend([0, 15360, 65535])
    node.attr["value"].tensor.tensor_content = bytes(range(256)) * 5
    node.attr["empty"].list.SetInParent()
    yield "NodeDef", node.SerializeToString(deterministic=True)
    entry = native.BundleEntryProto(
        dtype=14, shard_id=3, offset=1 << 40, size=77, crc32c=0xFFFFFFFF
    )
    entry.shape.dim.add(size=7)
    part = entry.slices.add()
    part.extent.add(start=3, length=0)
    part.extent.add()
    yield "BundleEntryProto", entry.SerializeToString()
    meta = native.MetaGraphDef()
    meta.graph_def.node.add().CopyFrom(node)
    meta.graph_def.library.function.add().ret["out"] = "y:z:0"
    meta.collection_def["variables"].bytes_list.value.append(b"\x0a\x01w")
    meta.collection_def["numbers"].int64_list.value.extend([-1, 300, 2**62])
    meta.collection_def["any"].any_list.value.add(type_url="type/x", value=b"abc")
    meta.signature_def["serve"].inputs["x"].coo_sparse.values_tensor_name = "v"
    meta.saver_def.version = 2
    meta.saver_def.keep_checkpoint_every_n_hours = 0.1
    concrete = meta.object_graph_def.concrete_functions["f"]
    concrete.output_signature.int64_value = -5
    concrete.bound_inputs.extend([4, -1])
    yield "MetaGraphDef", meta.SerializeToString(deterministic=True)
    state = native.CheckpointState(model_checkpoint_path="a/b", last_preserved_timestamp=1e300)
    state.all_model_checkpoint_timestamps.extend([1.5, float("nan")])
    yield "CheckpointState", state.SerializeToString()


SMALL = list(small_messages())
NAMES = [name for name, _ in SMALL]


@pytest.mark.parametrize(("name", "data"), SMALL, ids=NAMES)
def test_every_kind_of_field_is_read_alike(name: str, data: bytes) -> None:
    assert ours(name, data) == theirs(name, data) is not None


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change, cut, repeat or insert a few bytes."""
    content = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(content) + 1)
        kind = chance.randrange(5)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and place < len(content):
            content[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 2:
            del content[place:]
        elif kind == 3:
            content[place:place] = content[place : place + chance.randint(1, 40)]
        else:
            content[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
    return bytes(content)


@pytest.mark.parametrize(("name", "data"), SMALL, ids=NAMES)
def test_damaged_bytes_are_refused_or_read_alike(name: str, data: bytes) -> None:
    chance = random.Random(name)
    accepted = refused = 0
    for _ in range(MUTATIONS):
        damaged = mutated(data, chance)
        expected = theirs(name, damaged)
        found = ours(name, damaged)
        if found is None and expected is not None:
            with pytest.raises(DecodeError, match=ONLY_OURS):
                getattr(pure, name)().ParseFromString(damaged)
            continue
        assert found == expected, damaged.hex()
        accepted += found is not None
        refused += found is None
    assert accepted > MUTATIONS // 10
    assert refused > MUTATIONS // 10


def varint(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*digits, value))


def nested_structure(levels: int) -> bytes:
    """Give a StructuredValue in ListValues: two messages a level."""
    data = b""
    for level in range(levels):
        tag = b"\x0a" if level % 2 == 0 else b"\x9a\x03"
        data = tag + varint(len(data)) + data
    return data


@pytest.mark.parametrize("levels", [90, 96, 98, 100, 110, 100_000])
def test_nesting_is_refused_where_protobuf_refuses_it(levels: int) -> None:
    data = nested_structure(levels)
    found = wrapped(pure, data)
    assert (found is None) == (wrapped(native, data) is None)
    # Around them lie an entry, a SavedConcreteFunction and a StructuredValue.
    assert (found is None) == (levels + 3 > 100)


def wrapped(kind: Any, data: bytes) -> Any:
    message = kind.SavedObjectGraph()
    # concrete_functions: an entry with a SavedConcreteFunction with an output_signature.
    inner = b"\x22" + varint(len(data)) + data
    entry = b"\x12" + varint(len(inner)) + inner
    try:
        message.ParseFromString(b"\x12" + varint(len(entry)) + entry)
    except (DecodeError, NativeDecodeError):
        return None
    return message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x0f", "are claimed", id="2**60-bytes"),
        pytest.param(b"\x0a" + b"\x80" * 10 + b"\x01", "no end", id="endless-length"),
        pytest.param(b"\x1a\x02a", "are claimed", id="cut-off"),
        pytest.param(b"\x0a", "cut off", id="no-length"),
        pytest.param(b"\x0d\x00\x00", "cut off", id="half-a-number"),
        pytest.param(b"\x02\x00", "no field 0", id="field-0"),
        pytest.param(b"\x0a\x01\xff", "no UTF-8", id="no-utf-8"),
        pytest.param(b"\x0c", "wire type 4", id="end-of-no-group"),
        pytest.param(b"\x0f", "wire type 7", id="no-wire-type"),
    ],
)
def test_a_lie_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        pure.NodeDef().ParseFromString(data)


def test_many_pieces_of_one_message_take_linear_time() -> None:
    # 200,000 times versions, which are merged: quadratic work would take minutes.
    data = b"\x22\x02\x08\x01" * 200_000
    graph = pure.GraphDef()
    graph.ParseFromString(data)
    assert graph.versions.producer == 1
