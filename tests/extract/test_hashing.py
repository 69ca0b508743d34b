from __future__ import annotations

import hashlib
import threading

import pytest

from stage_extract.errors import NotReadable
from stage_extract.writing.hashing import InputHasher


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_hashes_files_of_any_size(tmp_path, size_bytes):
    content = bytes(range(251)) * (size_bytes // 251 + 1)
    (tmp_path / "a").write_bytes(content[:size_bytes])
    (tmp_path / "b").write_bytes(b"other")
    with InputHasher([str(tmp_path / "b"), str(tmp_path / "a")], str(tmp_path)) as hasher:
        assert hasher.result() == [
            {"name": "b", "size_bytes": 5, "sha256": hashlib.sha256(b"other").hexdigest()},
            {
                "name": "a",
                "size_bytes": size_bytes,
                "sha256": hashlib.sha256(content[:size_bytes]).hexdigest(),
            },
        ]


def test_a_missing_file_is_told_by_the_result(tmp_path):
    with InputHasher([str(tmp_path / "gone")], str(tmp_path)) as hasher, pytest.raises(
        NotReadable, match="gone"
    ):
        hasher.result()


def test_leaving_stops_the_thread():
    # /dev/zero never ends.
    with InputHasher(["/dev/zero", "/dev/zero"], "/dev"):
        assert any(thread.name.startswith("input-hash") for thread in threading.enumerate())
    assert not any(thread.name.startswith("input-hash") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("path", "name", "place"),
    [
        pytest.param("model/saved_model.pb", "saved_model.pb", None, id="in-the-folder"),
        pytest.param("model/variables/v.index", "variables/v.index", None, id="below"),
        pytest.param(
            "shards/v.data-00000-of-00001", "v.data-00000-of-00001", "data", id="elsewhere"
        ),
        pytest.param("model-2/v.index", "v.index", "data", id="beside-with-the-same-start"),
        pytest.param("model/..v.index", "..v.index", None, id="begins-with-dots"),
    ],
)
def test_names_are_relative_to_the_folder_that_was_given(tmp_path, path, name, place):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    with InputHasher([str(file)], str(tmp_path / "model")) as hasher:
        (entry,) = hasher.result()
    assert (entry["name"], entry.get("place")) == (name, place)
