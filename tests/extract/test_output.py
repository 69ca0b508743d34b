from __future__ import annotations

import os
import stat

import pytest

from stage_extract.errors import DiskFull, OutputNotWritable
from stage_extract.writing.output import new_file


@pytest.fixture(params=[0o022, 0o077, 0o002, 0o000], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_mode_follows_the_umask(tmp_path, umask):
    with new_file(str(tmp_path / "file")) as file:
        file.write(b"x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_file_gets_its_name_only_when_it_is_whole(tmp_path):
    with new_file(str(tmp_path / "file")) as file:
        file.write(b"whole")
        assert [path.name for path in tmp_path.iterdir()] == ["file.partial"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


def write_and_stop(path):
    with new_file(str(path)) as file:
        file.write(b"new")
        raise KeyboardInterrupt


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_data_is_synced_before_the_rename(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    with new_file(str(tmp_path / "file")) as file:
        file.write(b"x")
    assert calls == ["fsync", "replace"]


def test_missing_folder(tmp_path):
    with pytest.raises(OutputNotWritable, match="No such file"), new_file(str(tmp_path / "a/b")):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_room(tmp_path):
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="No space left"), new_file(str(tmp_path / "file")) as file:
        file.write(b"x" * 100)
    assert list(tmp_path.iterdir()) == []
