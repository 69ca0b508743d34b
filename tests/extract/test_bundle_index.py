from __future__ import annotations

import random

import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from stage_extract.errors import CorruptIndex, UnsupportedFormat
from stage_extract.storage.bundle_index import read_bundle_index
from stage_extract.storage.ordered_code import WHOLE_AXIS, encode_slice_key


def header(num_shards=1, endianness=BundleHeaderProto.LITTLE):
    message = BundleHeaderProto(num_shards=num_shards, endianness=endianness)
    return b"", message.SerializeToString()


def entry(shape=(2, 3), dtype=types_pb2.DT_FLOAT, size=None, cuts=(), **fields):
    message = BundleEntryProto(dtype=dtype, **fields)
    count = 1
    for length in shape:
        message.shape.dim.add(size=length)
        count *= length
    message.size = 4 * count if size is None else size
    for axis, start, length in cuts:
        part = message.slices.add()
        for position in range(len(shape)):
            extent = part.extent.add()
            if position == axis:
                extent.start, extent.length = start, length
    return message.SerializeToString()


def sliced(shape, cuts, slice_shapes):
    """The entries of a variable "w" cut along its first axis, slice entries first."""
    slices = [
        (encode_slice_key("w", [(start, length), WHOLE_AXIS]), entry(slice_shape))
        for (_, start, length), slice_shape in zip(cuts, slice_shapes)
    ]
    return [*sorted(slices), (b"w", entry(shape, size=0, cuts=cuts))]


@pytest.fixture
def read(tmp_path, table_bytes):
    def read(entries):
        path = tmp_path / "model.ckpt.index"
        path.write_bytes(table_bytes(entries))
        return read_bundle_index(str(path))

    return read


def test_reads_plain_and_sliced_tensors(read):
    cuts = [(0, 2, 3), (0, 0, 2)]
    index = read([header(2), *sliced((5, 3), cuts, [(3, 3), (2, 3)])])
    tensor = index.tensors["w"]
    assert tensor.shape == (5, 3)
    assert [extent.box for extent in tensor.extents] == [((2, 3), (0, 3)), ((0, 2), (0, 3))]


def test_shard_sizes_are_those_of_the_furthest_tensor(read):
    index = read(
        [
            header(2),
            (b"a", entry((2, 3), shard_id=1, offset=100)),
            (b"b", entry((5,), shard_id=1, offset=16)),
            (b"c", entry((7,), shard_id=0, offset=4)),
        ]
    )
    assert index.shard_sizes_bytes() == [32, 124]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        pytest.param([(b"w", entry())], "no header", id="no-header"),
        pytest.param([(b"", b"\xff\xff")], "header cannot be decoded", id="header-no-message"),
        pytest.param([header(0)], "0 data shards", id="no-shards"),
        pytest.param([header(2**31 - 1)], "2147483647 data shards", id="two-billion-shards"),
        pytest.param([header(), (b"w", b"\xff\xff")], "entry of 'w'", id="entry-no-message"),
        pytest.param([header(), (b"\xfe", entry())], "no UTF-8", id="name-no-utf-8"),
        pytest.param([header(), (b"w", entry(dtype=99))], "element type 99", id="unknown-dtype"),
        pytest.param([header(), (b"w", entry(dtype=0))], "element type 0", id="no-dtype"),
        pytest.param([header(), (b"w", entry((2, -3)))], r"\[2, -3\]", id="negative-axis"),
        pytest.param([header(), (b"w", entry(size=23))], "takes 24", id="size-is-not-the-shapes"),
        pytest.param(
            [header(), (b"w", entry((2**40, 2**40), size=0))], "has the shape", id="size-overflows"
        ),
        pytest.param([header(), (b"w", entry((2**60,), size=24))], "takes", id="2-to-the-60"),
        pytest.param(
            [header(), (b"w", entry((0, 2**40, 2**40)))], "has the shape", id="empty-yet-too-large"
        ),
        pytest.param([header(), (b"w", entry((1,) * 60))], "28 axes more", id="sixty-axes"),
        pytest.param([header(), (b"w", entry(offset=-8))], "at -8", id="negative-offset"),
        pytest.param([header(), (b"w", entry(shard_id=1))], "shard 1 of 1", id="shard-too-high"),
        pytest.param([header(), (b"w", entry(shard_id=-1))], "shard -1", id="negative-shard"),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 2), (0, 3, 2)], [(2, 3), (2, 3)])],
            "gap at 2",
            id="slices-leave-a-gap",
        ),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 3), (0, 2, 3)], [(3, 3), (3, 3)])],
            "overlap",
            id="slices-overlap",
        ),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 2)], [(2, 3)])], "end at 2", id="slices-end-early"
        ),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 2), (0, 2, 9)], [(2, 3), (9, 3)])],
            "ends at 11",
            id="slices-reach-too-far",
        ),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 2), (0, 2, 3)], [(2, 3), (3, 4)])],
            r"\[3, 4\], expected \[3, 3\]",
            id="slice-of-another-shape",
        ),
        pytest.param(
            [header(), *sliced((5, 3), [(0, 0, 2), (0, 2, 3)], [(2, 3)])],
            r"slice \[\(2, 3\), \(0, -1\)\] of 'w' is missing",
            id="slice-missing",
        ),
        pytest.param(
            [header(), (b"w", entry((5, 3), size=0, cuts=[(0, 0, 2), (1, 1, 2)]))],
            "overlap",
            id="slices-cross",
        ),
        pytest.param(
            [header(), (b"w", entry((5, 3), size=0, cuts=[(0, 0, 5), (0, 0, 5)]))],
            "overlap",
            id="same-slice-twice",
        ),
        pytest.param(
            [header(), (b"w", entry((5, 3), size=0, cuts=[(0, -1, 6)]))],
            "bounds",
            id="slice-starts-below-zero",
        ),
    ],
)
def test_refuses_an_index_that_contradicts_itself(read, entries, words):
    with pytest.raises(CorruptIndex, match=words) as caught:
        read(entries)
    assert "model.ckpt.index" in caught.value.happened


@pytest.mark.filterwarnings("ignore:Unexpected end-group tag")
def test_no_random_entry_gets_past_the_checks(read):
    """Damaged messages under right checksums: an index is refused or describes what can be read."""
    generator = random.Random(11)
    whole = [header(2), *sliced((5, 3), [(0, 0, 2), (0, 2, 3)], [(2, 3), (3, 3)])]
    accepted = 0
    for _ in range(2000):
        entries = list(whole)
        place = generator.randrange(len(entries))
        key, value = entries[place]
        damaged = bytearray(value)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        entries[place] = (key, bytes(damaged))
        try:
            index = read(entries)
        except (CorruptIndex, UnsupportedFormat):
            continue
        accepted += 1
        for tensor in index.tensors.values():
            for extent in tensor.extents:
                assert 0 <= extent.shard < index.num_shards
                assert extent.offset >= 0
                assert extent.size_bytes >= 0
    assert 0 < accepted < 1000


def test_refuses_big_endian_data(read):
    with pytest.raises(UnsupportedFormat, match="big-endian"):
        read([header(endianness=BundleHeaderProto.BIG), (b"w", entry())])


@pytest.mark.parametrize(
    ("extents", "encoded"),
    [
        pytest.param([(0, 2), (0, -1)], "80 82 80 7f", id="one-byte-numbers"),
        pytest.param([(63, 64), (0, -1)], "bf c0 40 80 7f", id="two-bytes-from-64-on"),
        pytest.param([(8191, 8192)], "df ff e0 20 00", id="three-bytes-from-8192-on"),
        pytest.param(
            [(2**55 - 1, 2**55)],
            "ff 7f ff ff ff ff ff ff ff 80 80 00 00 00 00 00 00",
            id="prefix-longer-than-a-byte",
        ),
    ],
)
def test_slice_keys(extents, encoded):
    # 00 = number zero, "w" with its end mark, number of axes.
    start = bytes([0]) + b"w\x00\x01" + bytes([1, len(extents)])
    assert encode_slice_key("w", extents) == start + bytes.fromhex(encoded.replace(" ", ""))
