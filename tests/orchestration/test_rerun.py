"""A recorded run is repeated by what its manifest tells alone, and every byte is compared."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.manifest_schema import checked_manifest

CONVERT = ("ckpt", "--model", "unet", "--seed", "7", "--out", "result")
FILES = ["export/graph.json", "export/variables.safetensors", "model.safetensors", "report.json"]
# Blanks, quotes, what shells and CSV read, a line end; and bytes that are no UTF-8.
NASTY = "a b,c:d\"e'f\\g\n$h=é&\udcff"


@pytest.fixture
def recorded(machine):
    machine.checkpoint()
    assert machine.run(*CONVERT).returncode == 0
    return machine.folder / "result"


def edit(result: Path, *place: str | int, value: object) -> None:
    path = result / "manifest.json"
    manifest = json.loads(path.read_bytes())
    inner = manifest
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(manifest))


def rows(text: str, label: str) -> list[str]:
    """What stands under a label of the command's output."""
    found, current = [], ""
    for line in text.splitlines()[1:]:
        current = line[:15].strip() or current
        if current == label:
            found.append(line[15 + 2 :])
    return found


@pytest.mark.parametrize("given", ["result", "result/manifest.json"], ids=["folder", "file"])
def test_everything_is_made_again(machine, recorded, given):
    done = machine.run("rerun", given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "REPRODUCED  result-rerun"
    assert rows(done.stdout, "equal") == FILES
    for name in FILES:
        assert (machine.folder / "result-rerun" / name).read_bytes() == (
            recorded / name
        ).read_bytes()
    manifest = checked_manifest(machine.folder / "result-rerun")
    # Stage 1 took part, though there is an export that fits.
    assert manifest["extract"]["reused_from"] is None
    assert manifest["settings"]["extract"]["seed"] == 7
    assert manifest["inputs"] == checked_manifest(recorded)["inputs"]


def test_of_the_stages_alone(machine):
    machine.checkpoint()
    machine.run("extract", "ckpt", "--seed", "3", "--out", "export")
    machine.run("load", "export", "--model", "failed", "--out", "result")
    for name in ("export", "result"):
        done = machine.run("rerun", name)
        # A proof that fails again is a run that was reproduced.
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == f"REPRODUCED  {name}-rerun"
    shutil.move(machine.folder / "export", machine.folder / "moved")
    assert machine.run("rerun", "result", "--out", "again").returncode == 79
    done = machine.run("rerun", "result", "--out", "again", "--checkpoint", "moved")
    assert done.returncode == 0, done.stderr


def test_of_an_item_of_a_batch(machine):
    machine.checkpoint(folder="ckpts/one")
    done = machine.run("batch", "ckpts/*", "--model", "unet", "--out", "all")
    assert done.returncode == 0, done.stderr
    (item,) = (path.parent for path in (machine.folder / "all").glob("*/manifest.json"))
    done = machine.run("rerun", item)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"REPRODUCED  {item.name}-rerun"


@pytest.mark.parametrize(
    ("change", "label", "names"),
    [
        pytest.param(
            lambda result: edit(result, "files", 0, "sha256", value="0" * 64),
            "differs",
            ["model.safetensors"],
            id="another-file",
        ),
        pytest.param(
            lambda result: edit(result, "files", 1, "name", value="gone.csv"),
            "missing",
            ["gone.csv"],
            id="a-file-less",
        ),
        pytest.param(
            lambda result: edit(result, "files", 1, "name", value="gone.csv"),
            "not recorded",
            ["report.json"],
            id="a-file-more",
        ),
        pytest.param(
            lambda result: edit(result, "settings", "extract", "seed", value=8),
            "differs",
            ["export/graph.json"],
            id="another-option",
        ),
        pytest.param(
            lambda result: edit(result, "hardware", "cpu_features", value=["avx9"]),
            "not as it was",
            [],
            id="another-processor",
        ),
    ],
)
def test_what_differs_is_named(machine, recorded, change, label, names):
    change(recorded)
    done = machine.run("rerun", "result")
    if not names:
        assert done.returncode == 0, done.stderr
        assert "features of the processor (no avx9" in rows(done.stdout, label)[0]
        return
    assert done.returncode == 79, done.stderr
    assert done.stdout.startswith("NOT REPRODUCED")
    assert rows(done.stdout, label) == names
    assert "NotReproduced" in done.stderr
    assert names[0] in done.stderr


CHANGES = [
    pytest.param(lambda folder: (folder / "model.ckpt.index").write_text("finf"), id="changed"),
    pytest.param(lambda folder: (folder / "model.ckpt.index").unlink(), id="gone"),
    pytest.param(lambda folder: folder.rename(folder.with_name("moved")), id="moved"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_inputs_that_are_not_as_they_were_are_named_before_anything_starts(
    machine, recorded, change
):
    change(machine.folder / "ckpt")
    done = machine.run("rerun", "result")
    assert done.returncode == 79
    assert str(machine.folder / "ckpt" / "model.ckpt.index") in done.stderr
    assert "--checkpoint" in done.stderr
    assert not (machine.folder / "result-rerun").exists()


@pytest.mark.parametrize("given", ["moved", "moved/model.ckpt", "moved/model.ckpt.index"])
def test_a_checkpoint_that_has_moved(machine, recorded, given):
    (machine.folder / "ckpt").rename(machine.folder / "moved")
    done = machine.run("rerun", "result", "--checkpoint", given)
    assert done.returncode == 0, done.stderr
    manifest = checked_manifest(machine.folder / "result-rerun")
    assert manifest["inputs"][0]["folder"] == str(machine.folder / "moved")


def test_other_inputs_that_have_moved(machine):
    machine.checkpoint()
    (machine.folder / "maps").mkdir()
    (machine.folder / "maps" / "edited.csv").write_text("tf_name,torch_name\n")
    options = ("--map", "maps/edited.csv", "--out", "result")
    assert machine.run("ckpt", "--model", "unet", *options).returncode == 0
    (machine.folder / "maps").rename(machine.folder / "others")
    assert machine.run("rerun", "result").returncode == 79
    done = machine.run("rerun", "result", "--moved", "map=others")
    assert done.returncode == 0, done.stderr
    settings = checked_manifest(machine.folder / "result-rerun")["settings"]
    assert settings["load"]["map"] == str(machine.folder / "others" / "edited.csv")


@pytest.mark.parametrize("value", ["map", "secret=.", "map=nowhere"])
def test_what_is_no_place_is_refused(machine, recorded, value):
    done = machine.run("rerun", "result", "--moved", value)
    assert done.returncode == 2
    assert "ROLE=FOLDER" in done.stderr


def test_nasty_paths(machine):
    folder = f"in {NASTY}"
    machine.checkpoint(folder=folder)
    out = f"out {NASTY}"
    done = machine.run(f"{folder}/model.ckpt", "--model", "unet", "--out", out)
    assert done.returncode == 0, done.stderr
    manifest = checked_manifest(machine.folder / out)
    assert manifest["settings"]["checkpoint"] == str(machine.folder / folder / "model.ckpt")
    done = machine.run("rerun", out, "--out", f"again {NASTY}")
    assert done.returncode == 0, done.stderr
    os.rename(machine.folder / folder, machine.folder / f"moved {NASTY}")
    done = machine.run("rerun", out, "--out", "third", "--checkpoint", f"moved {NASTY}")
    assert done.returncode == 0, done.stderr


def test_nothing_is_replaced_unasked(machine, recorded):
    assert machine.run("rerun", "result").returncode == 0
    done = machine.run("rerun", "result")
    assert done.returncode == 11
    assert "ResultExists" in done.stderr
    assert machine.run("rerun", "result", "--force").returncode == 0
    # The recorded result least of all.
    before = (recorded / "manifest.json").read_bytes()
    assert machine.run("rerun", "result", "--out", "result", "--force").returncode == 11
    assert (recorded / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        pytest.param(("version",), 1, "its version is 1", id="version"),
        pytest.param(("settings", "extract", "step"), "x", "settings.extract.step", id="option"),
        pytest.param(("inputs", 0, "files", 0, "name"), "../x", "'../x'", id="name"),
        pytest.param(("settings", "checkpoint"), "/etc", "/etc", id="place"),
    ],
)
def test_an_edited_manifest_runs_nothing(machine, recorded, place, value, told):
    edit(recorded, *place, value=value)
    done = machine.run("rerun", "result")
    assert done.returncode == 83
    assert "ManifestUnusable" in done.stderr
    assert told in done.stderr
    assert not (machine.folder / "result-rerun").exists()


@pytest.mark.parametrize(
    ("files", "given", "told"),
    [
        pytest.param([], "nowhere", ["There is no ", "Look at the path"], id="nothing"),
        pytest.param(
            ["notes/x"], "notes", ["notes is no result", "orchestrate.py CKPT"], id="folder"
        ),
        pytest.param(
            ["out/b/manifest.json", "out/a/manifest.json", "out/x/y"],
            "out",
            ["out is no result", "one of the 2 in it", "out/a."],
            id="results",
        ),
        pytest.param(["x y/bagit.txt"], "x y", ["is an archive", "y' --rerun`"], id="bag"),
        pytest.param(["x.tar.zst"], "x.tar.zst", ["is an archive", "zst --rerun`"], id="packed"),
        pytest.param(["x.py"], "x.py", ["x.py cannot be used: it is no JSON"], id="file"),
    ],
)
def test_what_is_no_result(machine, files, given, told):
    for name in files:
        path = machine.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    done = machine.run("rerun", given)
    assert (done.returncode, "ManifestUnusable" in done.stderr) == (83, True)
    assert [words for words in told if words not in done.stderr] == []
