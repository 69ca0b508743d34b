"""Messages as every Python and numpy read them: numbers, maps, merging, and copies."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from stage_extract.messages import (
    AttrValue,
    DecodeError,
    GraphDef,
    NodeDef,
    TensorProto,
    TextError,
    parse_text,
)
from stage_extract.messages.tensors import make_array


def text_message(kind: Any, text: str) -> Any:
    message = kind()
    parse_text(text, message)
    return message


def test_the_classes_are_ours() -> None:
    assert NodeDef.__module__ == "stage_extract.messages.pure"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\x1a\x04\x01\x96\x01\x05", [1, 150, 5], id="packed"),
        pytest.param(b"\x18\x01\x18\x96\x01\x18\x05", [1, 150, 5], id="one-by-one"),
        pytest.param(b"\x18\x01\x1a\x03\x96\x01\x05", [1, 150, 5], id="both"),
        pytest.param(b"\x1a\x0a" + b"\xff" * 9 + b"\x01", [-1], id="negative"),
        pytest.param(b"\x1a\x28" + b"\x96\x01" * 20, [150] * 20, id="many"),
        pytest.param(b"\x1a\x00", [], id="none"),
    ],
)
def test_lists_of_numbers(data: bytes, expected: Any) -> None:
    value = AttrValue()
    value.ParseFromString(b"\x0a" + bytes((len(data),)) + data)
    assert list(value.list.i) == expected
    assert value.list.numbers("i").tolist() == expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x1a\x02\x01\x96", id="cut-off"),
        pytest.param(b"\x1a\x28" + b"\x96" * 40, id="without-end"),
        pytest.param(b"\x1a\x2c" + b"\x01" * 33 + b"\xff" * 10 + b"\x01", id="too-long"),
        pytest.param(b"\x22\x03\x00\x00\x00", id="half-a-float"),
    ],
)
def test_damaged_lists_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        AttrValue().ParseFromString(b"\x0a" + bytes((len(data),)) + data)


def test_what_comes_twice_is_merged_and_the_last_of_a_oneof_counts() -> None:
    graph = GraphDef()
    graph.ParseFromString(b"\x22\x02\x08\x05\x22\x02\x10\x07")
    assert (graph.versions.producer, graph.versions.min_consumer) == (5, 7)
    value = AttrValue()
    value.ParseFromString(b"\x18\x05" + b"\x25" + struct.pack("<f", 0.5))
    assert value.WhichOneof("value") == "f"
    assert (value.f, value.i, value.HasField("i")) == (0.5, 0, False)


def test_reading_what_is_not_there_changes_nothing() -> None:
    graph = GraphDef()
    assert graph.versions.producer == 0
    assert list(graph.library.function) == []
    assert not graph.HasField("versions")
    assert not graph.HasField("library")
    graph.library.function.add().signature.name = "f"
    assert graph.HasField("library")
    assert graph.library.function[0].HasField("signature")


def test_a_copy_has_a_life_of_its_own() -> None:
    node = text_message(NodeDef, "name: 'a' attr { key: 'k' value { list { i: 1 } } }")
    copy = NodeDef()
    copy.CopyFrom(node)
    copy.name = "b"
    copy.attr["k"].list.i.append(2)
    copy.attr["new"].b = True
    copy.input.extend(["x", "y"])
    assert (node.name, list(node.attr["k"].list.i), list(node.input)) == ("a", [1], [])
    assert sorted(node.attr) == ["k"]
    assert list(copy.attr["k"].list.i) == [1, 2]
    assert node != copy
    again = NodeDef()
    again.CopyFrom(copy)
    assert again == copy


def test_large_content_is_not_copied() -> None:
    content = bytes(range(256)) * 4096
    size = len(content)
    head = b"\x08\x04\x12\x06\x12\x04\x08\x80\x80\x40\x22" + bytes(
        (size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14)
    )
    proto = TensorProto()
    proto.ParseFromString(head + content)
    assert proto.tensor_content == content
    array = make_array(proto)
    assert array.tolist()[:300] == [*range(256), *range(44)]
    assert not array.flags.owndata


@pytest.mark.parametrize("text", ["name: 1", "nothing", "name: 'a' name: 'b'", "attr { key: 1 }"])
def test_bad_texts_are_refused(text: str) -> None:
    with pytest.raises(TextError):
        text_message(NodeDef, text)
