"""Files that are right in form, written by Hypothesis: what they say may be anything."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from stage_extract.storage.crc32c import extend, mask
from tests.fuzz.mutation import Files, varint
from tests.fuzz.readers import check_snappy
from tests.fuzz.tables import table

PREFIX = "model.ckpt-3"
_FLOAT, _MOST_DEPTH = 1, 3000
_NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 2**31, 2**40, 2**60, 2**63 - 1, 2**63, 2**64 - 1])
_SIZES = st.one_of(st.integers(0, 4), _NUMBERS)
# Of eight bytes, so that a list of numbers of any size is whole.
_WORDS = st.integers(0, 3).flatmap(lambda count: st.binary(min_size=8 * count, max_size=8 * count))
_NAMES = ("a", "b", "c/kernel", "c/bias", "d", "e/read", "f", "^a", "b:1", "c/kernel:0")
_OPS = (
    *("Add", "AssignVariableOp", "BatchMatMul", "BiasAdd", "ConcatV2", "Const", "Conv2D"),
    *("Conv2DBackpropInput", "DepthwiseConv2dNative", "Enter", "Exit", "FusedBatchNormV3"),
    *("GatherV2", "Identity", "IdentityN", "If", "LoopCond", "MatMul", "MaxPool", "Merge", "Mul"),
    *("NextIteration", "Pad", "Placeholder", "PlaceholderWithDefault", "ReadVariableOp", "Relu"),
    *("Reshape", "RestoreV2", "Rsqrt", "SaveV2", "Shape", "Softmax", "StridedSlice", "Sub"),
    *("Switch", "VarHandleOp", "VariableV2", "While", "NoSuchOp", ""),
)
# By the field of an AttrValue that holds them; numbers and places are in no way right.
_ATTRIBUTES = {
    1: ("strides", "ksize", "dilations", "explicit_paddings", "squeeze_dims"),
    2: ("padding", "data_format", "shared_name", "container"),
    3: ("axis", "N", "num_split", "begin_mask", "end_mask", "shrink_axis_mask"),
    4: ("epsilon",),
    5: ("is_training", "transpose_a", "transpose_b", "keep_dims"),
    6: ("T", "dtype", "Tshape"),
    7: ("shape",),
    8: ("value",),
    10: ("then_branch", "cond", "body"),
}
_NAMED = [(field, name) for field, names in _ATTRIBUTES.items() for name in names]


@dataclass(frozen=True)
class Case:
    """One input: what it is of, its files, and what to do with it (None: extract it)."""

    name: str
    files: Files
    check: Callable[[str], str] | None = None


def message(*fields: tuple[int, int | bytes | float]) -> bytes:
    """A protocol buffer: whole numbers as varints, bytes with a length, floats in four bytes."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: int | bytes | float) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def _shape(sizes: list[int]) -> bytes:
    return message(*((2, message((1, size))) for size in sizes))


@st.composite
def _entry(draw: Any, data: bytes) -> bytes:
    """A BundleEntryProto: right for a piece of the data, or of absurd sizes and places."""
    if draw(st.booleans()):
        begin, count = draw(st.integers(0, 8)), draw(st.integers(0, 6))
        piece = data[begin : begin + 4 * count]
        sum_ = varint(6 << 3 | 5) + struct.pack("<I", mask(extend(0, piece)))
        return message((1, _FLOAT), (2, _shape([count])), (4, begin), (5, len(piece))) + sum_
    slices = draw(st.lists(st.lists(st.tuples(_SIZES, _SIZES), max_size=3), max_size=3))
    texts = [message(*((1, message((1, b), (2, n))) for b, n in one)) for one in slices]
    fields = [(1, draw(st.integers(0, 110))), (2, _shape(draw(st.lists(_SIZES, max_size=5))))]
    fields += [(number, draw(_SIZES)) for number in (3, 4, 5)]
    return message(*fields, *((7, text) for text in texts))


@st.composite
def tables(draw: Any) -> Case:
    """An index and a data file."""
    data = bytes(range(64))
    keys = st.one_of(st.sampled_from([n.encode() for n in _NAMES]), st.binary(max_size=12))
    entries = draw(st.dictionaries(keys, _entry(data), min_size=1, max_size=6))
    header = message((1, draw(st.sampled_from([1, 1, 1, 0, 2, 2**31]))), (3, message((1, 1))))
    rows = sorted({**entries, b"": header}.items())
    return Case("table", _checkpoint(table(rows), data))


def _checkpoint(index: bytes, data: bytes) -> Files:
    return {f"{PREFIX}.index": index, f"{PREFIX}.data-00000-of-00001": data}


def _sound_checkpoint() -> Files:
    data = bytes(4 * 6 + 4 * 3)
    rows = {b"": message((1, 1), (3, message((1, 1))))}
    for name, begin, sizes in ((b"c/kernel", 0, [1, 1, 2, 3]), (b"c/bias", 24, [3])):
        piece = data[begin : begin + 4 * (6 if begin == 0 else 3)]
        sum_ = varint(6 << 3 | 5) + struct.pack("<I", mask(extend(0, piece)))
        fields = (1, _FLOAT), (2, _shape(sizes)), (4, begin), (5, len(piece))
        rows[name] = message(*fields) + sum_
    return _checkpoint(table(sorted(rows.items())), data)


@st.composite
def _tensor(draw: Any) -> bytes:
    fields = [(1, draw(st.integers(0, 25))), (2, _shape(draw(st.lists(_SIZES, max_size=4))))]
    fields.append((draw(st.sampled_from([4, 5, 6, 7, 8, 10])), draw(_WORDS)))
    return message(*fields)


def _deep(depth: int) -> bytes:
    """An AttrValue in a function's attributes in an AttrValue, and so on."""
    value = message((3, 1))
    for _ in range(depth):
        value = message((10, message((1, b"f"), (2, message((1, b"k"), (2, value))))))
    return value


@st.composite
def _attribute(draw: Any, field: int) -> bytes:
    """An AttrValue of one type."""
    if field == 1:
        return message((1, draw(st.lists(_numbers_in_list(), max_size=5).map(b"".join))))
    if field == 2:
        return message((2, draw(st.sampled_from([b"SAME", b"VALID", b"NHWC", b"NCHW", b"\xff"]))))
    if field == 4:
        return message((4, draw(st.floats(width=32))))
    if field in (5, 6):
        return message((field, draw(st.integers(0, 1 if field == 5 else 200))))
    if field == 7:
        return message((7, _shape(draw(st.lists(_SIZES, max_size=5)))))
    if field == 8:
        return message((8, draw(_tensor())))
    if field == 10:
        return _deep(draw(st.sampled_from([*range(1, 40), 99, _MOST_DEPTH])))
    return message((3, draw(_SIZES)))


def _numbers_in_list() -> st.SearchStrategy[bytes]:
    return _SIZES.map(lambda size: message((3, size)))


@st.composite
def _node(draw: Any, name: bytes, others: list[bytes]) -> bytes:
    """A NodeDef that reads others; of its attributes each fifth is of another type."""
    fields = [(1, name), (2, draw(st.sampled_from(_OPS)).encode())]
    fields += [(3, other) for other in draw(st.lists(st.sampled_from(others), max_size=5))]
    for field, key in draw(st.lists(st.sampled_from(_NAMED), max_size=6, unique=True)):
        other = draw(st.sampled_from([field] * 4 + [draw(st.sampled_from(sorted(_ATTRIBUTES)))]))
        fields.append((5, message((1, key.encode()), (2, draw(_attribute(other))))))
    return message(*fields)


@st.composite
def _graph(draw: Any) -> bytes:
    """A GraphDef: the variables of the checkpoint, and nodes that read each other anyhow."""
    names = [f"n{number}".encode() for number in range(draw(st.integers(1, 12)))]
    others = [*names, b"c/kernel", b"c/bias", b"n0:1", b"^n1", b"absent", b""]
    variables = [message((1, name), (2, b"VariableV2")) for name in (b"c/kernel", b"c/bias")]
    nodes = [draw(_node(name, others)) for name in names]
    return message(*((1, node) for node in (*variables, *nodes)))


@st.composite
def graphs(draw: Any) -> Case:
    """A sound checkpoint beside a graph that may say anything: circles, absurd attributes."""
    files = {**_sound_checkpoint(), f"{PREFIX}.meta": message((2, draw(_graph())))}
    return Case("graph", files)


@st.composite
def frozen(draw: Any) -> Case:
    """The same as a frozen graph."""
    return Case("frozen graph", {"frozen.pb": draw(_graph())})


@st.composite
def texts(draw: Any) -> Case:
    """A graph as text: names with escapes, brackets that go deep, numbers without end."""
    quoted = st.one_of(st.sampled_from(_NAMES), st.text(max_size=8), st.just("\\377\\x0\\u"))
    values = st.one_of(
        st.sampled_from(
            ["{ i: 3 }", "{ s: 'SAME' }", "{ shape { dim { size: -1 } } }", "< f: nan >"]
        ),
        st.integers(0, 3000).map(lambda n: "{ func { name: 'f' attr { key: 'k' value " * n + "{ }"),
        st.just("{ i: " + "9" * 5000 + " }"),
        st.just(
            "{ tensor { dtype: DT_FLOAT tensor_shape { dim { size: 1152921504606846976 } } } }"
        ),
    )
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        name, source = draw(quoted), draw(quoted)
        attribute = f'attr {{ key: "{draw(st.sampled_from(_NAMED))[1]}" value {draw(values)} }}'
        op = draw(st.sampled_from(_OPS))
        lines.append(f'node {{ name: "{name}" op: "{op}" input: "{source}" {attribute} }}')
    return Case("text", {"frozen.pbtxt": "\n".join(lines).encode("utf-8", "surrogatepass")})


@st.composite
def streams(draw: Any) -> Case:
    """A Snappy stream of literals and copies, and what it was made from."""
    made, stream = bytearray(), bytearray()
    for _ in range(draw(st.integers(1, 12))):
        if not made or draw(st.booleans()):
            literal = draw(st.binary(min_size=1, max_size=70))
            long = len(literal) > 60
            stream += bytes([60 << 2, len(literal) - 1] if long else [(len(literal) - 1) << 2])
            stream += literal
            made += literal
        else:
            offset = draw(st.integers(1, len(made)))
            length = draw(st.integers(1, 64))
            stream += bytes([(length - 1) << 2 | 2]) + struct.pack("<H", offset)
            for _ in range(length):
                made.append(made[-offset])
    data = varint(len(made)) + bytes(stream)
    return Case("snappy", {"data": data}, lambda _: check_snappy(bytes(made), data))


def cases() -> st.SearchStrategy[Case]:
    """Any of them."""
    return st.one_of(tables(), graphs(), graphs(), frozen(), texts(), streams())
