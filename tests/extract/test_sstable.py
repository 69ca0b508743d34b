from __future__ import annotations

import io
import random
import struct

import pytest

from stage_extract.storage import native
from stage_extract.storage.sstable import (
    FOOTER_SIZE_BYTES,
    MAGIC,
    SSTableError,
    read_table,
    read_varint,
)

ENTRIES = [(b"", b"header"), (b"a", b"1"), (b"ab", b"22"), (b"b" * 300, b"3" * 500)]


def literal_snappy(data: bytes) -> bytes:
    """Snappy without any compression: one literal with a length of two bytes."""
    size = len(data)
    assert 128 <= size < 1 << 14
    length = bytes([size & 0x7F | 0x80, size >> 7])
    return length + bytes([61 << 2]) + struct.pack("<H", size - 1) + data


def test_reads_entries_in_order(table_bytes):
    assert list(read_table(io.BytesIO(table_bytes(ENTRIES)))) == ENTRIES


def test_reads_snappy_blocks(table_bytes):
    # TensorFlow 1.0 and 1.1 compressed their indices.
    compressed = table_bytes(ENTRIES, compress=literal_snappy)
    assert list(read_table(io.BytesIO(compressed))) == ENTRIES


def with_footer(*numbers: int) -> bytes:
    footer = b"".join(
        bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])
        for number in numbers
    )
    return b"\x00" * 20 + footer.ljust(40, b"\x00") + MAGIC


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(MAGIC, id="magic-alone"),
        pytest.param(b"\x00" * 100, id="no-magic"),
        pytest.param(with_footer(0, 0, 0, 0), id="index-block-without-bytes"),
        pytest.param(with_footer(0, 0, 100, 100), id="index-block-behind-the-end"),
        pytest.param(b"\xff" * 40 + MAGIC, id="footer-number-without-end"),
        pytest.param((b"\xff" * 9 + b"\x01") * 4 + MAGIC, id="footer-numbers-of-64-bits"),
    ],
)
def test_refuses_what_is_no_table(content):
    with pytest.raises(SSTableError):
        list(read_table(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        pytest.param((0, 10**6), "outside the file", id="longer-than-the-file"),
        pytest.param((10**9, 10), "outside the file", id="behind-the-file"),
        pytest.param((0, 2**62), "outside the file", id="size-of-exabytes"),
        pytest.param((2**62, 2**62), "outside the file", id="offset-and-size-overflow-64-bits"),
        pytest.param((0, 8), "checksum", id="shorter-than-written"),
    ],
)
def test_refuses_wrong_block_handles(table_bytes, handle, words):
    with pytest.raises(SSTableError, match=words):
        list(read_table(io.BytesIO(table_bytes(ENTRIES, block_handle=handle))))


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([(b"a", b"1"), (b"a", b"2")], id="same-key-twice"),
        pytest.param([(b"b", b"1"), (b"a", b"2")], id="keys-fall"),
    ],
)
def test_refuses_keys_out_of_order(table_bytes, entries):
    with pytest.raises(SSTableError, match="does not follow"):
        list(read_table(io.BytesIO(table_bytes(entries))))


def test_refuses_snappy_bomb(table_bytes):
    bomb = table_bytes(ENTRIES, compress=lambda block: b"\xff\xff\xff\xff\x0f" + block)
    with pytest.raises(SSTableError, match="claims 4294967295 bytes"):
        list(read_table(io.BytesIO(bomb)))


def test_every_flipped_byte_and_every_cut_is_an_error_or_harmless(table_bytes):
    """Nothing but SSTableError ever leaves the reader, whatever the bytes are."""
    whole = table_bytes(ENTRIES)
    generator = random.Random(3)
    refused = 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= generator.randrange(1, 256)
        for content in (bytes(flipped), whole[:position]):
            try:
                assert list(read_table(io.BytesIO(content))) == ENTRIES
            except SSTableError:
                refused += 1
    # Only the meta index, which nobody reads, and the footer's padding may change unseen.
    assert refused > 2 * len(whole) - 2 * FOOTER_SIZE_BYTES - 20


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\x00", (0, 1), id="zero"),
        pytest.param(b"\x7f\xff", (127, 1), id="one-byte"),
        pytest.param(b"\x80\x01", (128, 2), id="two-bytes"),
        pytest.param(b"\xff" * 9 + b"\x01", (2**64 - 1, 10), id="largest"),
    ],
)
def test_read_varint(data, expected):
    assert read_varint(data, 0) == expected


def test_crc32c_is_castagnolis():
    # The check value of CRC-32C, RFC 3720 appendix B.4 style: "123456789".
    assert native.extend_crc32c(0, b"123456789") == 0xE3069283
    assert native.extend_crc32c(native.extend_crc32c(0, b"1234"), b"56789") == 0xE3069283
