from __future__ import annotations

import os
import shutil

import pytest

from stage_extract.errors import (
    AmbiguousCheckpoint,
    DataFileMissing,
    NoCheckpointFound,
    NotReadable,
    StepNotFound,
)
from stage_extract.finding.locate import locate


def touch_checkpoint(prefix, meta=True):
    """Files of the right names; nothing is read from them to find a checkpoint."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    suffixes = [".index", ".data-00000-of-00001"] + ([".meta"] if meta else [])
    for suffix in suffixes:
        (prefix.parent / (prefix.name + suffix)).write_bytes(b"x")


def write_state(folder, *paths):
    lines = [f"all_model_checkpoint_paths: {quote(path)}" for path in paths]
    lines.insert(0, f"model_checkpoint_path: {quote(paths[-1])}")
    (folder / "checkpoint").write_text("\n".join(lines), encoding="utf-8")


def quote(path):
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run 1, test: “ä”'s"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "suffix",
    [
        pytest.param("", id="prefix"),
        pytest.param(".index", id="index"),
        pytest.param(".data-00000-of-00001", id="data"),
        pytest.param(".meta", id="meta"),
    ],
)
def test_prefix_or_any_file(folder, suffix):
    touch_checkpoint(folder / "model.ckpt-20")
    touch_checkpoint(folder / "model.ckpt-100")
    located = locate(str(folder / "model.ckpt-20") + suffix, None)
    assert (located.prefix, located.step) == (str(folder / "model.ckpt-20"), 20)
    assert located.warnings == ()


@pytest.mark.parametrize(
    ("state", "expected", "warning"),
    [
        pytest.param(["model.ckpt-100"], "model.ckpt-100", None, id="relative"),
        pytest.param(["./model.ckpt-100"], "model.ckpt-100", None, id="relative-with-dot"),
        pytest.param(["/home/ann/run/model.ckpt-100"], "model.ckpt-100", None, id="absolute"),
        pytest.param([r"D:\ann\run\model.ckpt-100"], "model.ckpt-100", None, id="windows-absolute"),
        pytest.param([r"run\model.ckpt-100"], "model.ckpt-100", None, id="windows-relative"),
        pytest.param(["../other/model.ckpt-100"], "model.ckpt-100", None, id="outside"),
        pytest.param(["sub/model.ckpt-7"], "sub/model.ckpt-7", None, id="in-a-folder-below"),
        pytest.param(["model.ckpt-20"], "model.ckpt-20", "also holds step 100", id="not-newest"),
        pytest.param(["model.ckpt-999"], "model.ckpt-100", "not here", id="stale"),
        pytest.param(
            ["model.ckpt-20", "model.ckpt-999"], "model.ckpt-20", "an earlier one", id="last-gone"
        ),
        pytest.param(["elsewhere"], "model.ckpt-100", "'elsewhere', which is", id="other-name"),
        pytest.param([""], "model.ckpt-100", None, id="names-nothing"),
        pytest.param(["/"], "model.ckpt-100", "not here", id="names-the-root"),
    ],
)
def test_folder_with_checkpoint_file(folder, state, expected, warning):
    touch_checkpoint(folder / "model.ckpt-20")
    touch_checkpoint(folder / "model.ckpt-100")
    touch_checkpoint(folder / "sub" / "model.ckpt-7")
    write_state(folder, *state)
    for given in (str(folder), str(folder) + "/", str(folder / "checkpoint")):
        located = locate(given, None)
        assert located.prefix == str(folder / expected)
        assert any(warning in text for text in located.warnings) if warning else True
        assert bool(located.warnings) == (warning is not None)


def test_a_name_that_no_file_can_have(folder):
    touch_checkpoint(folder / "model.ckpt-20")
    (folder / "checkpoint").write_bytes(b'model_checkpoint_path: "model.ckpt-20\\000"')
    located = locate(str(folder), None)
    assert located.prefix == str(folder / "model.ckpt-20")
    assert "not here" in located.warnings[0]


def test_hidden_files_are_not_listed(folder):
    (folder / ".out.partial-1").mkdir()
    (folder / "notes").write_text("x")
    with pytest.raises(NoCheckpointFound, match="it holds notes"):
        locate(str(folder), None)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00binary", id="binary"),
        pytest.param(b"model_checkpoint_path", id="cut-off"),
        pytest.param(b'{"model_checkpoint_path": "x"}', id="json"),
    ],
)
def test_unreadable_checkpoint_file_is_no_obstacle(folder, content):
    touch_checkpoint(folder / "model.ckpt-20")
    (folder / "checkpoint").write_bytes(content)
    assert locate(str(folder), None).prefix == str(folder / "model.ckpt-20")


def test_checkpoint_may_be_a_folder(folder):
    touch_checkpoint(folder / "model.ckpt-20")
    (folder / "checkpoint").mkdir()
    assert locate(str(folder), None).step == 20


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["model.ckpt"], "model.ckpt", id="no-step"),
        pytest.param(["m-9", "m-10", "m-100", "m-99"], "m-100", id="highest-number-not-last-name"),
        # macOS writes these onto foreign disks and into archives.
        pytest.param(["model.ckpt-3", "._model.ckpt-3"], "model.ckpt-3", id="apple-double"),
        pytest.param(["v1.2-x"], "v1.2-x", id="dash-without-number"),
        pytest.param(["-5"], "-5", id="only-a-step"),
    ],
)
def test_folder_without_checkpoint_file(folder, names, expected):
    for name in names:
        touch_checkpoint(folder / name)
    assert locate(str(folder), None).prefix == str(folder / expected)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["model.ckpt-5", "best.ckpt-5"], id="two-bases"),
        pytest.param(["model.ckpt", "model.ckpt-5"], id="with-and-without-step"),
        pytest.param(["generator", "discriminator"], id="two-models"),
    ],
)
def test_ambiguous_folder_lists_what_it_found(folder, names):
    for name in names:
        touch_checkpoint(folder / name)
    with pytest.raises(AmbiguousCheckpoint) as caught:
        locate(str(folder), None)
    assert all(name in caught.value.happened for name in names)


@pytest.mark.parametrize(
    ("step", "expected"),
    [pytest.param(20, "model.ckpt-20", id="old"), pytest.param(100, "model.ckpt-100", id="new")],
)
def test_step(folder, step, expected):
    touch_checkpoint(folder / "model.ckpt-20")
    touch_checkpoint(folder / "model.ckpt-100")
    # Of two names with one step, the `checkpoint` file tells the training's own.
    touch_checkpoint(folder / "best-20")
    write_state(folder, "model.ckpt-100")
    assert locate(str(folder), step).prefix == str(folder / expected)
    assert locate(str(folder / "model.ckpt"), step).prefix == str(folder / expected)


def test_step_that_is_not_there_lists_the_steps(folder):
    touch_checkpoint(folder / "model.ckpt-20")
    touch_checkpoint(folder / "model.ckpt-100")
    with pytest.raises(StepNotFound, match="20, 100"):
        locate(str(folder), 50)
    with pytest.raises(StepNotFound, match="says step 20"):
        locate(str(folder / "model.ckpt-20.index"), 100)


def test_step_of_two_checkpoints_is_ambiguous(folder):
    touch_checkpoint(folder / "a-20")
    touch_checkpoint(folder / "b-20")
    with pytest.raises(AmbiguousCheckpoint, match="a-20, b-20"):
        locate(str(folder), 20)


def test_name_given_to_the_saver_means_its_newest_step(folder):
    touch_checkpoint(folder / "model.ckpt-20")
    touch_checkpoint(folder / "model.ckpt-100")
    touch_checkpoint(folder / "model.ckpt2-200")
    located = locate(str(folder / "model.ckpt"), None)
    assert located.prefix == str(folder / "model.ckpt-100")
    assert located.warnings == ("'model.ckpt-100' is read.",)


def test_bare_word_prefix(folder, monkeypatch):
    touch_checkpoint(folder / "checkpoints")
    monkeypatch.chdir(folder)
    assert locate("checkpoints", None).prefix == "checkpoints"
    assert locate("checkpoints.meta", None).prefix == "checkpoints"


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        pytest.param("model", "run/model", id="folder-holds-one"),
        pytest.param(None, "run", id="folder-holds-none"),
    ],
)
def test_folder_and_prefix_of_one_name(folder, below, expected):
    touch_checkpoint(folder / "run")
    (folder / "run").mkdir()
    if below:
        touch_checkpoint(folder / "run" / below)
    assert locate(str(folder / "run"), None).prefix == str(folder / expected)


def test_v1_and_v2_on_one_prefix(folder):
    touch_checkpoint(folder / "model.ckpt")
    (folder / "model.ckpt").write_bytes(b"old")
    for given in (folder, folder / "model.ckpt", folder / "model.ckpt.index"):
        located = locate(str(given), None)
        assert located.prefix == str(folder / "model.ckpt")
        assert "left aside, and the V2 checkpoint" in located.warnings[0]


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(("run", ""), id="folder"),
        pytest.param(("run/model.ckpt-20.index", ".index"), id="index-alone"),
        pytest.param(("run/model.ckpt-20.meta", ".meta"), id="meta-alone"),
        pytest.param(
            ("run/model.ckpt-20.data-00000-of-00001", ".data-00000-of-00001"), id="data-alone"
        ),
        # Points to no file, but to a prefix.
        pytest.param(("run/model.ckpt-20", ""), id="prefix"),
    ],
)
def test_symbolic_links(folder, link):
    target, suffix = link
    touch_checkpoint(folder / "run" / "model.ckpt-20")
    given = folder / ("latest" + suffix)
    given.symlink_to(folder / target)
    located = locate(str(given), None)
    assert os.path.realpath(located.prefix + ".index") == str(folder / "run/model.ckpt-20.index")
    assert os.path.isfile(located.prefix + ".data-00000-of-00001")


def test_links_to_each_file_keep_their_own_names(folder):
    # As the caches of data set tools do: content-named files, one link each.
    touch_checkpoint(folder / "model.ckpt-20")
    (folder / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.glob("model*"))):
        shutil.move(str(path), str(folder / "blobs" / f"{number:064x}"))
        path.symlink_to(folder / "blobs" / f"{number:064x}")
    assert locate(str(folder), None).prefix == str(folder / "model.ckpt-20")
    assert locate(str(folder / "model.ckpt-20.index"), None).prefix == str(folder / "model.ckpt-20")


def test_relative_paths_and_trailing_slashes(folder, monkeypatch):
    touch_checkpoint(folder / "run" / "model.ckpt-20")
    monkeypatch.chdir(folder)
    assert locate("run//", None).prefix == "run/model.ckpt-20"
    monkeypatch.chdir(folder / "run")
    assert locate(".", None).step == 20
    assert locate("model.ckpt-20", None).prefix == "model.ckpt-20"


def test_missing_path_names_the_neighbours(folder):
    touch_checkpoint(folder / "model.ckpt-20")
    with pytest.raises(NoCheckpointFound, match=r"model\.ckpt-20"):
        locate(str(folder / "modle.ckpt-20"), None)


def test_folder_above_names_the_folders_that_hold_checkpoints(folder):
    touch_checkpoint(folder / "fold_1" / "model.ckpt-20")
    (folder / "logs").mkdir()
    (folder / "graph.pbtxt").write_text("node { }", encoding="utf-8")
    with pytest.raises(NoCheckpointFound, match="fold_1: give"):
        locate(str(folder), None)


@pytest.mark.parametrize("kept", [".meta", ".data-00000-of-00001"])
def test_index_is_missing(folder, kept):
    touch_checkpoint(folder / "model.ckpt-20")
    for path in folder.iterdir():
        if not path.name.endswith(kept):
            path.unlink()
    for given in (folder, folder / "model.ckpt-20", folder / ("model.ckpt-20" + kept)):
        with pytest.raises(DataFileMissing, match=r"model\.ckpt-20\.index. is missing"):
            locate(str(given), None)


@pytest.mark.parametrize("length", [1, 2])
def test_links_in_a_circle(folder, length):
    for number in range(length):
        (folder / f"l{number}").symlink_to(folder / f"l{(number + 1) % length}")
    with pytest.raises(NotReadable, match="symbolic links"):
        locate(str(folder / "l0"), None)


def test_missing_graph_names_other_graphs(folder):
    touch_checkpoint(folder / "model.ckpt-20", meta=False)
    assert locate(str(folder), None).warnings == ()
    touch_checkpoint(folder / "model.ckpt-0")
    (warning,) = locate(str(folder / "model.ckpt-20"), None).warnings
    assert "model.ckpt-20.meta, which would hold the graph, is missing" in warning
    assert "If model.ckpt-0.meta is of the same model" in warning
