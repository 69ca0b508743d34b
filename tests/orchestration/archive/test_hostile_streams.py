"""Streams that somebody made to do harm: they are refused, in bounded memory, and write nothing."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from orchestration.archive.verify.fixity import check_fixity
from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.members import BagContent, Count
from orchestration.archive.verify.tar_members import read_stream
from orchestration.errors import DiskFull
from tests.orchestration.archive.bags import (
    compressed,
    file_member,
    make_bag,
    members_of,
    other_member,
    write_stream,
)

PAYLOAD = {"result/model.safetensors": bytes(range(256)) * 3000, "result/mapping.csv": b"a,b\n"}


@pytest.fixture
def members(tmp_path):
    return members_of(make_bag(tmp_path / "x.bag", PAYLOAD))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "scratch"
    folder.mkdir(parents=True)
    return folder


def read(stream: Path, scratch: Path) -> BagContent:
    return read_stream(
        stream, scratch, lambda done, total: None, lambda path: not path.startswith("data/code/")
    )


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(file_member("../escaped", b"x"), id="leads-out"),
        pytest.param(file_member("x.bag/../../escaped", b"x"), id="leads-out-inside"),
        pytest.param(file_member("/tmp/escaped", b"x"), id="absolute"),
        pytest.param(file_member("x.bag/data/./odd", b"x"), id="dot"),
        pytest.param(file_member("x.bag//odd", b"x"), id="two-slashes"),
        pytest.param(file_member("y.bag/odd", b"x"), id="another-folder"),
        pytest.param(file_member("x.bag", b"x"), id="in-place-of-the-folder"),
        pytest.param(file_member("x.bag/data", b"x"), id="in-place-of-data"),
        pytest.param(file_member("x.bag/data/result/mapping.csv/odd", b"x"), id="below-a-file"),
        pytest.param(file_member("x.bag/data/" + "n" * 300, b"x"), id="long-name"),
        pytest.param(file_member("x.bag/data/" + "n/" * 3000 + "n", b"x"), id="deep"),
        pytest.param(other_member("x.bag/odd", tarfile.SYMTYPE, "/etc/passwd"), id="link"),
        pytest.param(
            other_member("x.bag/data/odd", tarfile.LNKTYPE, "x.bag/bagit.txt"), id="hard-link"
        ),
        pytest.param(other_member("x.bag/odd", tarfile.CHRTYPE), id="device"),
        pytest.param(other_member("x.bag/odd", tarfile.BLKTYPE), id="block-device"),
        pytest.param(other_member("x.bag/odd", tarfile.FIFOTYPE), id="pipe"),
        pytest.param(other_member("x.bag/odd", b"Q"), id="unknown-type"),
    ],
)
def test_an_odd_member_is_refused_and_named(tmp_path, scratch, members, odd):
    content = read(write_stream(tmp_path / "x.tar.zst", [*members, odd]), scratch)
    verdict = check_fixity(content)
    assert verdict.state == "failed"
    assert not content.is_plain or "odd" in {fault.path for fault in verdict.faults}
    assert os.listdir(scratch.parent) == ["scratch"]
    for path in scratch.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()
    assert not Path("/tmp/escaped").exists()


def test_a_link_cannot_lead_the_next_member_out(tmp_path, scratch, members):
    odd = [
        other_member("x.bag/data/way", tarfile.SYMTYPE, os.fspath(tmp_path / "outer")),
        file_member("x.bag/data/way/escaped", b"x"),
    ]
    content = read(write_stream(tmp_path / "x.tar.zst", [*members, *odd]), scratch)
    assert not content.is_plain
    assert os.listdir(tmp_path / "outer") == ["scratch"]


@pytest.mark.parametrize("folder", ["result", "code"])
@pytest.mark.parametrize("names", [("odd", "odd/odd"), ("odd/odd", "odd")])
def test_a_file_below_a_file_is_refused_unpacked_or_not(tmp_path, scratch, members, folder, names):
    odd = [file_member(f"x.bag/data/{folder}/{name}", b"x") for name in names]
    content = read(write_stream(tmp_path / "x.tar.zst", [*members, *odd]), scratch)
    assert not content.is_plain
    refused = {fault.path for fault in content.faults if fault.kind == "unsafe"}
    assert f"data/{folder}/odd/odd" in refused


def test_a_file_that_comes_twice_is_told(tmp_path, scratch, members):
    twice = file_member("x.bag/data/result/mapping.csv", b"other\n")
    content = read(write_stream(tmp_path / "x.tar.zst", [*members, twice]), scratch)
    assert ("data/result/mapping.csv", "duplicate") in {(f.path, f.kind) for f in content.faults}
    assert (scratch / "data/result/mapping.csv").read_bytes() == b"a,b\n"


CUTS = [1, 2, 3, 4, 5, 20, 300, 2000]


@pytest.mark.parametrize("cut", CUTS)
def test_a_stream_that_is_cut_off_is_no_whole_one(tmp_path, scratch, members, cut):
    stream = write_stream(tmp_path / "x.tar.zst", members)
    stream.write_bytes(stream.read_bytes()[:-cut])
    content = read(stream, scratch)
    assert not content.is_whole
    assert check_fixity(content).state == "failed"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"x", id="no-frame"),
        pytest.param(compressed(b"hidden"), id="a-frame"),
        pytest.param(compressed(bytes(4 << 20)), id="zeros-without-end"),
    ],
)
def test_nothing_hides_behind_the_end(tmp_path, scratch, members, more):
    stream = write_stream(tmp_path / "x.tar.zst", members)
    stream.write_bytes(stream.read_bytes() + more)
    content = read(stream, scratch)
    assert check_fixity(content).state == "failed"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_of_the_stream_is_found(tmp_path, scratch, members, share):
    stream = write_stream(tmp_path / "x.tar.zst", members)
    content = bytearray(stream.read_bytes())
    content[int(share * len(content))] ^= 1
    stream.write_bytes(content)
    assert check_fixity(read(stream, scratch)).state == "failed"


def test_a_damaged_header_does_not_end_the_stream_unnoticed(tmp_path, scratch, members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    data = bytearray(packed.getvalue())
    at = data.rindex(b"x.bag/tagmanifest-sha512.txt")
    data[at] ^= 1
    stream = tmp_path / "x.tar.zst"
    stream.write_bytes(compressed(bytes(data)))
    found = read(stream, scratch)
    assert not found.is_whole
    assert "breaks off" in found.faults[-1].text


def frame_of_zeros(size_bytes: int) -> bytes:
    """Zeros without their ever being in memory."""
    packed = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(packed, closefd=False) as writer:
        for _ in range(size_bytes >> 20):
            writer.write(bytes(1 << 20))
    return packed.getvalue()


def header_of(name: str, size_bytes: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.type = size_bytes, kind
    return header.tobuf(tarfile.USTAR_FORMAT)


def peak_bytes(stream: Path, scratch: Path) -> tuple[BagContent, int]:
    tracemalloc.start()
    try:
        content = read(stream, scratch)
        return content, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


SIZE = 1 << 30


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(tarfile.XHDTYPE, id="extended-header"),
        pytest.param(tarfile.XGLTYPE, id="global-header"),
        pytest.param(tarfile.GNUTYPE_LONGNAME, id="long-name"),
        pytest.param(tarfile.GNUTYPE_LONGLINK, id="long-link"),
    ],
)
def test_a_header_of_a_gigabyte_takes_no_memory(tmp_path, scratch, kind):
    stream = tmp_path / "x.tar.zst"
    stream.write_bytes(compressed(header_of("x", SIZE, kind)) + frame_of_zeros(64 << 20))
    content, peak = peak_bytes(stream, scratch)
    assert not content.is_whole
    assert peak < 32 << 20


def test_a_bomb_of_zeros_takes_no_memory_and_no_disk(tmp_path, scratch):
    """In a part of the bag that is hashed and not unpacked."""
    stream = tmp_path / "x.tar.zst"
    size_bytes = 256 << 20
    head = compressed(header_of("x.bag/data/code/zeros", size_bytes))
    stream.write_bytes(head + frame_of_zeros(size_bytes + (1 << 20)))
    assert stream.stat().st_size < 100_000
    content, peak = peak_bytes(stream, scratch)
    assert content.files["data/code/zeros"].size_bytes == size_bytes
    assert peak < 32 << 20
    assert list(scratch.rglob("*")) == []


def test_what_the_disk_has_no_room_for_is_not_unpacked(tmp_path, scratch):
    size_bytes = shutil.disk_usage(scratch).free + (1 << 30)
    stream = tmp_path / "x.tar.zst"
    header = tarfile.TarInfo("x.bag/data/result/zeros")
    header.size = size_bytes
    stream.write_bytes(compressed(header.tobuf(tarfile.GNU_FORMAT)) + frame_of_zeros(1 << 20))
    with pytest.raises(DiskFull):
        read(stream, scratch)
    assert list(scratch.rglob("*")) == []


def test_a_window_larger_than_the_memory_is_refused(tmp_path, scratch):
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    stream = tmp_path / "x.tar.zst"
    packed = io.BytesIO()
    with compressor.stream_writer(packed, closefd=False) as writer:
        writer.write(header_of("x.bag/a", 0))
    stream.write_bytes(packed.getvalue())
    content = read(stream, scratch)
    assert "memory" in content.faults[0].text


def test_very_many_files_are_not_read_to_the_end(tmp_path, scratch, monkeypatch):
    """A million empty files would each have their place in the tables."""
    most = 300
    monkeypatch.setattr(Count.__init__, "__defaults__", (most, 0, 0))
    many = [file_member(f"x.bag/data/code/{number}", b"") for number in range(3 * most)]
    content = read(write_stream(tmp_path / "x.tar.zst", many), scratch)
    assert len(content.files) == most
    assert not content.is_whole
    assert f"more than {most:,}" in content.faults[-1].text


def test_very_many_files_of_a_folder_are_not_read_to_the_end(tmp_path, monkeypatch):
    most = 20
    monkeypatch.setattr(Count.__init__, "__defaults__", (most, 0, 0))
    bag = make_bag(tmp_path / "x.bag", {f"code/{number}": b"" for number in range(most)})
    content = read_folder(bag, lambda done, total: None)
    assert not content.is_whole
    assert check_fixity(content).state == "failed"


def test_what_is_no_tar_file_is_told(tmp_path, scratch):
    stream = tmp_path / "x.tar.zst"
    stream.write_bytes(compressed(b"no tar file at all" * 100))
    content = read(stream, scratch)
    assert [(fault.path, fault.kind) for fault in content.faults] == [(".", "unreadable")]
