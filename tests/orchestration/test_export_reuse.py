"""A second run with the same checkpoint, options and stage uses the first one's export again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestration.export_reuse import export_key
from orchestration.run_paths import find_checkpoint
from orchestration.settings import ExtractOptions

AGAIN = "Using the export of an earlier run again"


def test_another_model_uses_the_same_export(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "first", "--out", "one")
    done = machine.run("ckpt", "--model", "second", "--out", "two")
    assert AGAIN in done.stderr
    assert "extract: ready" not in done.stderr
    manifest = json.loads((machine.folder / "two" / "manifest.json").read_bytes())
    assert manifest["extract"]["reused_from"] == str(machine.folder / "one" / "export")
    for name in ("graph.json", "variables.safetensors"):
        first, second = (machine.folder / out / "export" / name for out in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


def test_an_export_that_was_kept_spares_the_second_try_of_a_model(machine):
    machine.checkpoint()
    failed = machine.run("ckpt", "--model", "misfit")
    assert failed.returncode == 51
    assert "`orchestrate.py extract CKPT --out EXPORT`" in failed.stderr.partition("Error:")[0]
    assert machine.run("extract", "ckpt", "--out", "kept").returncode == 0
    failed = machine.run("ckpt", "--model", "misfit")
    assert "Using the export of an earlier run again" in failed.stderr
    assert "orchestrate.py extract" not in failed.stderr
    assert machine.names() == ["ckpt", "kept"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"stage": {}}, id="stage"),
        pytest.param({"files": [{"name": "../../etc/passwd"}]}, id="files"),
        pytest.param({"files": 5}, id="no-list"),
    ],
)
def test_a_damaged_index_is_passed_over(machine, damage):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet")
    (entry,) = (Path(machine.environment["XDG_CACHE_HOME"]) / "tf1-to-torch/exports").iterdir()
    entry.write_text(json.dumps({**json.loads(entry.read_text()), **damage}))
    done = machine.run("ckpt", "--model", "unet", "--out", "again")
    assert done.returncode == 0, done.stderr
    assert "Using the export" not in done.stderr


def test_a_copy_of_the_checkpoint_elsewhere_is_the_same_checkpoint(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "first")
    shutil.copytree(machine.folder / "ckpt", machine.folder / "copy")
    assert AGAIN in machine.run("copy", "--model", "first").stderr


def test_extract_alone_fills_and_uses_the_index(machine):
    machine.checkpoint()
    machine.run("extract", "ckpt", "--out", "export")
    assert AGAIN in machine.run("ckpt", "--model", "unet").stderr


def change_checkpoint(machine):
    machine.checkpoint("same")  # as long as "fine"


def damage_export(machine):
    path = machine.folder / "one" / "export" / "variables.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def remove_result(machine):
    shutil.rmtree(machine.folder / "one")


def damage_index(machine):
    for path in (machine.folder.parent / "cache" / "tf1-to-torch" / "exports").iterdir():
        path.write_text('{"folder": 3')


@pytest.mark.parametrize(
    ("change", "options"),
    [
        pytest.param(change_checkpoint, [], id="checkpoint-changed"),
        pytest.param(damage_export, [], id="export-damaged"),
        pytest.param(remove_result, [], id="result-removed"),
        pytest.param(damage_index, [], id="index-damaged"),
        pytest.param(None, ["--seed", "1"], id="other-options"),
        pytest.param(None, ["--force"], id="force"),
    ],
)
def test_anything_else_extracts_again(machine, change, options):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet", "--out", "one")
    if change is not None:
        change(machine)
    done = machine.run("ckpt", "--model", "unet", "--out", "two", *options)
    assert done.returncode == 0, done.stderr
    assert AGAIN not in done.stderr
    assert "extract: done" in done.stderr


@pytest.mark.parametrize(
    ("given", "same"),
    [
        pytest.param("model.ckpt-1", True, id="prefix"),
        pytest.param("model.ckpt-1.index", True, id="index-file"),
        pytest.param("model.ckpt-1.data-00000-of-00002", True, id="data-file"),
        pytest.param("model.ckpt-12", False, id="another-step"),
        pytest.param("", False, id="the-folder"),
    ],
)
def test_the_key_follows_what_is_meant_and_not_how_it_is_written(tmp_path, given, same):
    for name in ("model.ckpt-1.index", "model.ckpt-1.data-00000-of-00002", "model.ckpt-12.index"):
        (tmp_path / name).write_text(name)
    keys = [
        export_key(find_checkpoint(tmp_path / name), ExtractOptions(), {"lock": "x"})
        for name in ("model.ckpt-1", given)
    ]
    assert (keys[0] == keys[1]) is same


def test_a_new_checkpoint_state_file_changes_the_key_of_the_folder(tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"')
    before = export_key(find_checkpoint(tmp_path), ExtractOptions(), {})
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-2"')
    assert export_key(find_checkpoint(tmp_path), ExtractOptions(), {}) != before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"reader": "pure"}, id="reader"),
        pytest.param({"prefer_ema": True}, id="averages"),
        pytest.param({"tags": ("serve", "gpu")}, id="tags"),
        pytest.param({"signature": "predict"}, id="signature"),
        pytest.param({"checkpoint_format": "V1"}, id="format"),
        pytest.param({"keep_optimizer": True}, id="optimizer"),
    ],
)
def test_an_option_that_changes_the_export_changes_the_key(tmp_path, change):
    (tmp_path / "model.ckpt.index").write_text("index")
    checkpoint = find_checkpoint(tmp_path / "model.ckpt")
    plain, changed = ExtractOptions(), ExtractOptions(**change)
    assert export_key(checkpoint, plain, {}) == export_key(checkpoint, ExtractOptions(), {})
    assert export_key(checkpoint, plain, {}) != export_key(checkpoint, changed, {})


def test_a_data_folder_counts_by_what_it_holds(tmp_path):
    (tmp_path / "model.ckpt.index").write_text("index")
    for name, content in (("a", "same"), ("b", "same"), ("c", "longer")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.ckpt.data-00000-of-00001").write_text(content)
    checkpoint = find_checkpoint(tmp_path / "model.ckpt")
    keys = {
        name: export_key(checkpoint, ExtractOptions(data_folder=tmp_path / name), {})
        for name in ("a", "b", "c")
    }
    assert keys["a"] == keys["b"] != keys["c"]
    assert export_key(checkpoint, ExtractOptions(), {}) not in keys.values()
