"""Hashes, and the manifest that holds them."""

from __future__ import annotations

import hashlib
import json

import pytest

from orchestration.manifest import (
    BackgroundDescription,
    changed_files,
    describe_files,
    file_names,
    read_manifest,
    sha256_of,
    write_manifest,
)


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_001])
def test_hashes_of_files_of_any_size(tmp_path, size_bytes):
    content = bytes(number % 251 for number in range(1000)) * (size_bytes // 1000 + 1)
    (tmp_path / "file").write_bytes(content[:size_bytes])
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content[:size_bytes]).hexdigest()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b").write_text("bb")
    (tmp_path / "sub" / "a").write_text("a")
    (tmp_path / "link").symlink_to("b")
    return tmp_path


def test_files_are_named_relative_and_sorted(folder):
    assert file_names(folder) == ["b", "sub/a"]
    described = describe_files(folder, ["sub/a", "b"])
    assert [(entry["name"], entry["size_bytes"]) for entry in described] == [("b", 2), ("sub/a", 1)]
    assert BackgroundDescription(folder, ["sub/a", "b"]).result() == described


def test_a_background_description_hands_over_its_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        BackgroundDescription(tmp_path, ["gone"]).result()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda folder: None, [], id="nothing"),
        pytest.param(lambda folder: (folder / "b").write_text("cc"), ["b"], id="content"),
        pytest.param(lambda folder: (folder / "b").write_text("c"), ["b"], id="size"),
        pytest.param(lambda folder: (folder / "sub" / "a").unlink(), ["sub/a"], id="missing"),
    ],
)
def test_changed_files(folder, change, expected):
    described = describe_files(folder, ["b", "sub/a"])
    change(folder)
    assert changed_files(folder, described) == expected


@pytest.mark.parametrize(
    ("place", "content", "expected"),
    [
        pytest.param("folder", "one", [], id="in-the-folder"),
        pytest.param("beside", "one", [], id="in-the-other"),
        pytest.param("beside", "two", ["shard"], id="another-in-the-other"),
        pytest.param("nowhere", "one", ["shard"], id="in-neither"),
    ],
)
def test_what_a_folder_lacks_may_lie_in_another(tmp_path, place, content, expected):
    folder, beside = tmp_path / "folder", tmp_path / "beside"
    for path in (folder, beside, tmp_path / "nowhere"):
        path.mkdir()
    (folder / "index").write_text("index")
    (folder / "shard").write_text("one")
    described = describe_files(folder, ["index", "shard"])
    # Of the same size, and damaged: what lies in the other folder may still be the one meant.
    (folder / "shard").write_text("bad")
    (tmp_path / place / "shard").write_text(content)
    assert changed_files(folder, described, beside) == expected
    assert changed_files(folder, described) == ([] if place == "folder" else ["shard"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("/dev/zero", id="device"),
        pytest.param("../other", id="parent"),
        pytest.param("sub", id="folder"),
        pytest.param("nul\0", id="no-file-name"),
    ],
)
def test_nothing_outside_the_folder_is_read(folder, name):
    (folder.parent / "other").write_text("")
    described = [{"name": name, "size_bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}]
    assert changed_files(folder, described) == [name]


PARTS = {"request": {}, "verdict": {"exit_code": 0}, "inputs": [], "files": []}


def test_a_manifest_comes_back(tmp_path):
    write_manifest(tmp_path, {**PARTS, "argv": ["é", "\udcff"]})
    manifest = read_manifest(tmp_path)
    assert manifest["argv"] == ["é", "\udcff"]
    assert (manifest["format"], manifest["version"]) == ("tf1-to-torch-manifest", 2)
    assert {"created", "host"} <= manifest.keys()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"version": 3}, id="version"),
        pytest.param({"version": True}, id="version-is-no-number"),
        pytest.param({"version": 1}, id="older-version"),
        pytest.param({"verdict": {}}, id="verdict"),
        pytest.param({"request": 5}, id="request"),
        pytest.param({"inputs": {}}, id="inputs"),
        pytest.param({"inputs": [{"role": "map"}]}, id="input-without-files"),
        pytest.param({"inputs": [{"files": []}]}, id="input-without-role"),
        pytest.param({"files": [{"name": "x"}]}, id="files"),
    ],
)
def test_a_damaged_manifest_is_none_of_ours(tmp_path, damage):
    write_manifest(tmp_path, {**PARTS, **damage})
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps({"format": "another"}), "\x00"],
    ids=["empty", "list", "object", "another-format", "binary"],
)
def test_another_programs_manifest_is_none_of_ours(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None
