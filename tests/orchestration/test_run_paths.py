"""What users name as a checkpoint, and what a container gets to see of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.errors import CheckpointMissing, ExportInvalid
from orchestration.run_paths import cache_folder, default_out, find_checkpoint, find_export
from orchestration.runtimes.base import Mount

FILES = (
    "checkpoint",
    "model.ckpt-7.index",
    "model.ckpt-7.data-00000-of-00001",
    "export-00000-of-00002",
    "export-00001-of-00002",
    "export.meta",
    "weights.h5",
    "all.tar.gz",
    "saved_model.pb",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ckpt"
    path.mkdir()
    for name in FILES:
        (path / name).write_text(name)
    return path


@pytest.mark.parametrize(
    ("given", "name", "stem"),
    [
        pytest.param("", "", "", id="folder"),
        pytest.param("model.ckpt-7", "model.ckpt-7", "model.ckpt-7", id="prefix"),
        pytest.param("model.ckpt-7.index", "model.ckpt-7.index", "model.ckpt-7", id="index"),
        pytest.param(
            "model.ckpt-7.data-00000-of-00001",
            "model.ckpt-7.data-00000-of-00001",
            "model.ckpt-7",
            id="data",
        ),
        # V1 checkpoints in shards: the prefix is followed by a dash.
        pytest.param("model", "model", "model", id="bare-word"),
        pytest.param("export-00000-of-00002", "export-00000-of-00002", "export", id="v1-shard"),
        # What TensorFlow writes into its `checkpoint` file for a V1 checkpoint in shards.
        pytest.param("export-?????-of-00002", "export", "export", id="v1-pattern"),
        pytest.param("weights.h5", "weights.h5", "weights.h5", id="hdf5"),
        pytest.param("all.tar.gz", "all.tar.gz", "all.tar.gz", id="archive"),
        pytest.param("saved_model.pb", "saved_model.pb", "", id="saved-model"),
    ],
)
def test_every_way_to_name_a_checkpoint(folder, given, name, stem):
    found = find_checkpoint(folder / given)
    assert (found.folder, found.name, found.stem) == (folder, name, stem)
    assert found.path == (folder / name if name else folder)
    assert found.mounts() == (Mount(folder, "/in", read_only=True),)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        pytest.param("model.cpkt-7", "model.ckpt-7.index", id="typing-error-names-the-nearest"),
        pytest.param("zzz", "Look into", id="nothing-near"),
        pytest.param("no/such/place", "does not exist either", id="folder-missing-too"),
    ],
)
def test_a_missing_checkpoint_is_told_with_what_is_there(folder, given, hint):
    with pytest.raises(CheckpointMissing) as caught:
        find_checkpoint(folder / given)
    assert str(folder / given) in caught.value.happened
    assert hint in caught.value.remedy


def test_a_symlinked_folder_is_mounted_as_the_real_one(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert find_checkpoint(tmp_path / "link").folder == folder


def test_files_that_are_links_are_mounted_where_they_lead(tmp_path):
    store, folder = tmp_path / "store", tmp_path / "ckpt"
    store.mkdir()
    folder.mkdir()
    (store / "ab12").write_text("weights")
    (folder / "m.data-00000-of-00001").symlink_to("../store/ab12")
    (folder / "m.index").symlink_to(store / "ab12")
    (folder / "same.index").write_text("x")
    # A relative link within the folder works inside a container as it is.
    (folder / "latest.index").symlink_to("same.index")
    (folder / "dangling").symlink_to("nowhere")
    assert find_checkpoint(folder).mounts() == (
        Mount(folder, "/in", read_only=True),
        Mount(store / "ab12", "/in/m.data-00000-of-00001", read_only=True),
        Mount(store / "ab12", "/in/m.index", read_only=True),
    )
    assert find_checkpoint(folder / "same").mounts() == (Mount(folder, "/in", read_only=True),)


def test_files_are_those_of_the_model_that_was_named(folder):
    def names(given: str) -> list[str]:
        return [path.name for path in find_checkpoint(folder / given).files()]

    shards = ["export-00000-of-00002", "export-00001-of-00002", "export.meta"]
    assert names("export-00001-of-00002") == names("export-?????-of-00002") == shards
    assert names("weights.h5") == ["weights.h5"]
    assert names("") == names("saved_model.pb") == sorted(FILES)


def test_a_saved_model_s_own_folders_are_looked_into_for_links(tmp_path):
    store, model = tmp_path / "store", tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    (model / "other").mkdir()
    store.mkdir()
    for name in ("aa", "bb"):
        (store / name).write_text("weights")
    (model / "saved_model.pb").symlink_to(store / "aa")
    for place in ("variables", "other"):
        (model / place / "variables.index").symlink_to("../../store/bb")
    (model / "variables" / "same").symlink_to("variables.index")
    mounts = (
        Mount(model, "/in", read_only=True),
        Mount(store / "aa", "/in/saved_model.pb", read_only=True),
        Mount(store / "bb", "/in/variables/same", read_only=True),
        Mount(store / "bb", "/in/variables/variables.index", read_only=True),
    )
    assert find_checkpoint(model).mounts() == mounts
    assert find_checkpoint(model / "saved_model.pb").mounts() == mounts


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        pytest.param(["ref.json", "x.npy"], "words", id="the-prefix-of-files-beside"),
        pytest.param(["model.index"], "", id="the-folder-holds-a-checkpoint"),
        pytest.param(["checkpoint"], "", id="the-folder-names-checkpoints"),
        pytest.param(["saved_model.pb"], "", id="the-folder-is-a-saved-model"),
    ],
)
def test_a_name_that_is_a_folder_and_a_prefix(tmp_path, inside, name):
    (tmp_path / "words").mkdir()
    (tmp_path / "words.index").touch()
    for other in inside:
        (tmp_path / "words" / other).touch()
    found = find_checkpoint(tmp_path / "words")
    assert (found.folder, found.name) == (tmp_path if name else tmp_path / "words", name)


def test_a_link_to_one_file_stands_for_the_checkpoint_there(folder, tmp_path):
    (tmp_path / "best.index").symlink_to(folder / "model.ckpt-7.index")
    found = find_checkpoint(tmp_path / "best.index")
    assert (found.folder, found.name) == (folder, "model.ckpt-7.index")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("ckpt", "ckpt-torch", id="folder"),
        pytest.param("ckpt/", "ckpt-torch", id="folder-with-slash"),
        pytest.param("ckpt/model.ckpt-7", "model.ckpt-7-torch", id="prefix"),
        pytest.param("ckpt/model.ckpt-7.meta", "model.ckpt-7-torch", id="meta"),
        pytest.param("m.data-00000-of-00002", "m-torch", id="data"),
        pytest.param("ckpt/export-00000-of-00001", "export-torch", id="v1-shard"),
        pytest.param("ckpt/export-?????-of-00001", "export-torch", id="v1-pattern"),
        pytest.param("ckpt/saved_model.pb", "ckpt-torch", id="saved-model"),
        pytest.param("ckpt/saved_model.pbtxt", "ckpt-torch", id="saved-model-as-text"),
        pytest.param("a/frozen_graph.pb", "frozen_graph-torch", id="frozen-graph"),
        pytest.param("a/graph.pbtxt", "graph-torch", id="graph-as-text"),
        pytest.param("a/weights.h5", "weights-torch", id="hdf5"),
        pytest.param("a/model.v1.tar.gz", "model.v1-torch", id="tar-gz"),
        pytest.param("a/model.TGZ", "model-torch", id="tgz"),
        pytest.param("a/model.zip", "model-torch", id="zip"),
        pytest.param("a/model.pb.xz", "model-torch", id="compressed"),
        pytest.param("a/.zip", ".zip-torch", id="nothing-but-an-ending"),
        # A saver that was given a path ending in a slash.
        pytest.param("ckpt/.index", "ckpt-torch", id="prefix-without-a-name"),
        pytest.param("v1.0", "v1.0-torch", id="folder-with-a-dot"),
        pytest.param("old.pb", "old.pb-torch", id="folder-like-a-file"),
    ],
)
def test_default_output(folder, monkeypatch, given, expected):
    for name in ("v1.0", "old.pb"):
        folder.with_name(name).mkdir()
    monkeypatch.chdir(folder.parent)
    assert default_out(Path(given), "torch") == folder.parent / expected


def test_default_output_of_the_current_folder_has_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert default_out(Path("."), "torch") == folder / "ckpt-torch"


@pytest.mark.parametrize("inside", ["", "export"])
def test_an_export_is_found_in_a_result_too(tmp_path, inside):
    (tmp_path / inside).mkdir(exist_ok=True)
    (tmp_path / inside / "graph.json").write_text("{}")
    assert find_export(tmp_path) == tmp_path / inside


def test_a_folder_without_export_is_refused(tmp_path):
    with pytest.raises(ExportInvalid, match="no export"):
        find_export(tmp_path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("/var/cache/me", Path("/var/cache/me/tf1-to-torch"), id="set"),
        # The specification tells to ignore relative paths.
        pytest.param("cache", Path.home() / ".cache" / "tf1-to-torch", id="relative"),
        pytest.param("", Path.home() / ".cache" / "tf1-to-torch", id="empty"),
    ],
)
def test_cache_folder(value, expected):
    assert cache_folder({"XDG_CACHE_HOME": value}) == expected
