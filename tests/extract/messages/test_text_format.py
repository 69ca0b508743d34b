"""The text format is read as protobuf's own parser reads it, into messages of either kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from stage_extract.messages import native, pure
from stage_extract.messages.text_format import parse_text
from stage_extract.messages.tokens import TextError
from tests.extract.messages.plain import plain
from tests.extract.messages.test_messages import META_FILES, SMALL, theirs

KINDS = [pytest.param(native, id="native"), pytest.param(pure, id="pure")]


def read(kind: Any, name: str, text: str) -> Any:
    message = getattr(kind, name)()
    parse_text(text, message)
    return plain(message)


def expected(name: str, text: str) -> Any:
    message = getattr(native, name)()
    text_format.Parse(text, message)
    return plain(message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", META_FILES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("one_line", [False, True], ids=["lines", "one-line"])
def test_a_whole_graph_is_read(kind: Any, path: Path, one_line: bool) -> None:
    message = native.MetaGraphDef()
    message.ParseFromString(path.read_bytes())
    text = text_format.MessageToString(message, as_one_line=one_line)
    assert read(kind, "MetaGraphDef", text) == plain(message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "data"), SMALL, ids=[name for name, _ in SMALL])
@pytest.mark.parametrize("pointy", [False, True], ids=["braces", "pointy"])
def test_every_kind_of_field_is_read(kind: Any, name: str, data: bytes, pointy: bool) -> None:
    message = getattr(native, name)()
    message.ParseFromString(data)
    text = text_format.MessageToString(
        message, pointy_brackets=pointy, use_short_repeated_primitives=True
    )
    assert read(kind, name, text) == theirs(name, data)


ODD = {
    "empty": ("GraphDef", ""),
    "comments": ("GraphDef", "# a\nnode { # b\n name: 'x' #c\n}#d"),
    "separators": ("NodeDef", "name: 'a', op: 'b'; input: 'c';"),
    "colon-before-message": ("GraphDef", "versions: { producer: 5 }"),
    "pointy": ("GraphDef", "versions < producer: 5 >"),
    "lists": ("GraphDef", "versions { bad_consumers: [1, 0x1f] } node: [{name:'a'}, <name:'b'>]"),
    "empty-list": ("NodeDef", "input: []"),
    "texts-in-a-row": ("NodeDef", "name: 'a' \"b\"\n 'c'"),
    "escapes": ("AttrValue", r"""s: "\a\b\f\n\r\t\v\\\'\"\x41\x4\101\7\3777" """),
    "utf-8": ("NodeDef", "name: 'é\u4e2d\U0001f600'"),
    "octal-and-hexadecimal": ("AttrValue", "list { i: 017 i: -0x10 i: 0 i: -9223372036854775808 }"),
    "floats": ("AttrValue", "list { f: 1 f: -.5 f: 1.e3 f: 2E-3 f: 3f f: 1e39 f: -0 }"),
    "not-finite": ("AttrValue", "list { f: inf f: -inf f: nan f: Infinity f: -infinity f: INF }"),
    "doubles": ("CheckpointState", "last_preserved_timestamp: 1574000000.123456789"),
    "bools": ("AttrValue", "list { b: true b: false b: True b: False b: t b: f b: 1 b: 0 }"),
    "enum-by-number": ("AttrValue", "type: 14"),
    "enum-reference": ("AttrValue", "type: DT_FLOAT_REF"),
    "map": ("NodeDef", "attr { key: 'a' value { i: 1 } } attr { value { i: 2 } key: 'b' }"),
    "map-twice": ("NodeDef", "attr { key: 'a' value { i: 1 } } attr { key: 'a' value { i: 2 } }"),
    "map-of-texts": ("FunctionDef", "ret { key: 'a' value: 'b' }"),
    "empty-message": ("AttrValue", "list { }"),
    "negative-enum-of-old": ("SaverDef", "version: V2 sharded: true"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "text"), ODD.values(), ids=list(ODD))
def test_odd_texts_are_read_alike(kind: Any, name: str, text: str) -> None:
    assert read(kind, name, text) == expected(name, text)


BAD = {
    "unknown-field": ("NodeDef", "nam: 'x'"),
    "no-value": ("NodeDef", "name:"),
    "no-colon": ("NodeDef", "name 'x'"),
    "number-for-text": ("NodeDef", "name: 5"),
    "text-for-number": ("AttrValue", "i: 'x'"),
    "too-large": ("VersionDef", "producer: 2147483648"),
    "unknown-enum": ("AttrValue", "type: DT_NONE"),
    "open-message": ("GraphDef", "node { name: 'x'"),
    "open-text": ("NodeDef", "name: 'x"),
    "line-end-in-text": ("NodeDef", "name: 'x\n'"),
    "wrong-bracket": ("GraphDef", "node { name: 'x' >"),
    "stray-bracket": ("GraphDef", "}"),
    "open-list": ("NodeDef", "input: ['a', "),
    "twice": ("NodeDef", "name: 'x' name: 'y'"),
    "two-of-a-oneof": ("AttrValue", "i: 1 f: 2"),
    "no-utf-8": ("NodeDef", r"name: '\xff'"),
    "no-words": ("NodeDef", "\x00\x01"),
    "bad-bool": ("AttrValue", "b: maybe"),
    "bad-float": ("AttrValue", "f: 1.5.2"),
    "float-for-integer": ("AttrValue", "i: 1.5"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "text"), BAD.values(), ids=list(BAD))
def test_what_is_no_message_is_refused(kind: Any, name: str, text: str) -> None:
    with pytest.raises(TextError, match=r"line [12], at"):
        read(kind, name, text)
    with pytest.raises(text_format.ParseError):
        expected(name, text)


@pytest.mark.parametrize("kind", KINDS)
def test_deep_texts_are_refused(kind: Any) -> None:
    deep = "list { func { attr { key: 'a' value { " * 30_000
    with pytest.raises(TextError, match="within each other"):
        read(kind, "AttrValue", deep)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("name: '" + "x" * 2_000_000, id="open"),
        pytest.param("#" * 2_000_000, id="comment"),
        pytest.param("input: " + "'a' " * 300_000, id="texts-in-a-row"),
        pytest.param("name: '" + "\\" * 2_000_000, id="backslashes"),
        pytest.param(" " * 2_000_000 + "\x00", id="spaces"),
    ],
)
def test_long_texts_take_linear_time(text: str) -> None:
    message = pure.NodeDef()
    try:
        parse_text(text, message)
    except TextError:
        return
    assert len(message.input) == (1 if text.startswith("input") else 0)
