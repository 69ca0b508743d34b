"""Archives that lead elsewhere, lie, or hold far too much: refused soon, and nothing is left."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import tarfile
import time
import zipfile
from typing import Any, Callable, List, Optional

import pytest

from stage_extract.archives import unpack as unpacking
from tests.extract.formats.test_archives import tar_info

# More than the small size that is allowed whatever the compression.
BOMB_BYTES = 96 * 2**20


def tar_of(*infos: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return content.getvalue()


def zip_of(*names: str, content: bytes = b"x") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def zip_encrypted() -> bytes:
    content = bytearray(zip_of("model.h5"))
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + offset] |= 1
    return bytes(content)


def zip_that_starts_before_its_file() -> bytes:
    content = bytearray(zip_of("a"))
    place = content.index(b"PK\x05\x06") + 16
    content[place : place + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


def zip_link() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("passwords")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def bomb_in_tar(compress: Callable[[bytes], bytes]) -> bytes:
    size_bytes = BOMB_BYTES
    header = tar_info("zeros", size_bytes).tobuf(tarfile.GNU_FORMAT)
    return compress(header + b"\0" * size_bytes)


def long_name_bomb() -> bytes:
    # tarfile reads a long name into memory, however long it is said to be.
    size_bytes = BOMB_BYTES
    header = tar_info("@LongLink", size_bytes, type=tarfile.GNUTYPE_LONGNAME)
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"a" * size_bytes)


def lying_zip() -> bytes:
    """Give a zip whose member says that it is small."""
    content = bytearray(zip_of("zeros", content=b"\0" * (BOMB_BYTES)))
    for start, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(start) + offset
        content[place : place + 4] = (2**31).to_bytes(4, "little")
    return bytes(content)


REFUSED, NOTHING = "ArchiveRefused", "NoCheckpointFound"
HOSTILE = [
    pytest.param(tar_of(tar_info("/etc/cron.d/x", 1)), REFUSED, "leads out", id="absolute"),
    pytest.param(tar_of(tar_info("a/../../x", 1)), REFUSED, "leads out", id="dots"),
    pytest.param(zip_of("../x"), REFUSED, "leads out", id="dots-in-zip"),
    pytest.param(tar_of(tar_info("a", 1), tar_info("./a", 1)), REFUSED, "twice", id="twice"),
    pytest.param(tar_of(tar_info("a", 1), tar_info("a/b", 1)), REFUSED, "twice", id="below"),
    pytest.param(tar_of(tar_info("n" * 300, 1)), REFUSED, "300 bytes", id="long-name"),
    pytest.param(tar_of(tar_info("d/" * 600, 0)), REFUSED, "name of", id="deep-folders"),
    pytest.param(tar_of(tar_info("p", type=tarfile.FIFOTYPE)), NOTHING, "", id="pipe"),
    pytest.param(tar_of(tar_info("d", type=tarfile.CHRTYPE)), NOTHING, "", id="device"),
    pytest.param(
        tar_of(tar_info("p", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
        "NoCheckpointFound",
        "",
        id="link",
    ),
    pytest.param(
        tar_of(tar_info("p", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
        "NoCheckpointFound",
        "",
        id="hard-link",
    ),
    pytest.param(zip_link(), NOTHING, "", id="link-in-zip"),
    pytest.param(zip_encrypted(), "UnsupportedFormat", "encrypted", id="encrypted"),
    pytest.param(tar_of(), "NotTensorFlow", "no format", id="empty"),
    pytest.param(tar_of(tar_info("a.zip", 1)), NOTHING, "", id="no-model"),
    pytest.param(
        gzip.compress(tar_of(tar_info("a", 9000)))[:60], "TruncatedData", "ends", id="cut"
    ),
    pytest.param(tar_of(tar_info("a", 90000))[:5000], "CorruptIndex", "unpacked", id="cut-tar"),
    pytest.param(zip_of("a")[:30], "NotTensorFlow", "damaged", id="cut-zip"),
    pytest.param(zip_that_starts_before_its_file(), "CorruptIndex", "unpacked", id="zip-start"),
    pytest.param(gzip.compress(b"x" * 50)[:14] + b"\xff" * 9, "CorruptIndex", "", id="bad-gzip"),
    pytest.param(gzip.compress(b"no model" * 9), NOTHING, "", id="one-text"),
]


@pytest.mark.parametrize(("content", "error", "words"), HOSTILE)
def test_hostile_archive(tmp_path, out, run_extraction, content, error, words):
    path = tmp_path / "model.archive"
    path.write_bytes(content)
    before = sorted(os.listdir(str(tmp_path)))
    found = run_extraction(path, out).error
    assert found["class"] == error, found
    assert words in found["happened"]
    assert found["traceback"] is None
    assert os.listdir(str(out)) == []
    assert sorted(os.listdir(str(tmp_path))) == before


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: bomb_in_tar(bz2.compress), id="bzip2"),
        pytest.param(lambda: bomb_in_tar(gzip.compress), id="gzip"),
        pytest.param(lambda: gzip.compress(b"x" * BOMB_BYTES), id="one-file"),
        pytest.param(lambda: zip_of("zeros", content=b"\0" * (BOMB_BYTES)), id="zip"),
        pytest.param(long_name_bomb, id="long-name"),
        pytest.param(lying_zip, id="zip-that-lies"),
    ],
)
def test_a_bomb_dies_soon_and_small(tmp_path, out, run_extraction, make):
    path = tmp_path / "model.archive"
    path.write_bytes(make())
    start_s = time.perf_counter()
    found = run_extraction(path, out).error
    assert time.perf_counter() - start_s < 10
    assert (found["class"], found["exit_code"]) == ("ArchiveRefused", 48)
    assert os.listdir(str(out)) == []


def unpack_with(monkeypatch: Any, tmp_path: Any, content: bytes, **limits: Any) -> Optional[str]:
    for name, value in limits.items():
        monkeypatch.setattr(unpacking, name, value)
    path = tmp_path / "model.archive"
    path.write_bytes(content)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    with pytest.raises(unpacking.ArchiveRefused) as raised:
        unpacking.unpack(str(path), str(folder))
    return raised.value.happened


def test_the_number_of_members_is_limited(monkeypatch, tmp_path):
    infos: List[tarfile.TarInfo] = [tar_info(f"{number}") for number in range(9)]
    assert "more than 8 members" in str(
        unpack_with(monkeypatch, tmp_path, tar_of(*infos), MEMBERS_LIMIT=8)
    )


def test_the_size_is_limited_before_anything_is_written(monkeypatch, tmp_path):
    content = tar_of(tar_info("a", 1000), tar_info("b", 9000))
    assert "more than" in str(unpack_with(monkeypatch, tmp_path, content, TOTAL_LIMIT_BYTES=9999))
    assert os.listdir(str(tmp_path / "unpacked")) == ["a"]


def test_no_room_is_known_before_anything_is_written(monkeypatch, tmp_path):
    usage = unpacking.shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage._replace(free=999))
    (tmp_path / "model.tar").write_bytes(tar_of(tar_info("a", 1000)))
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(unpacking.DiskFull, match="no room"):
        unpacking.unpack(str(tmp_path / "model.tar"), str(tmp_path / "unpacked"))
    assert os.listdir(str(tmp_path / "unpacked")) == []
