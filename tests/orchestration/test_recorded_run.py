"""A run's record comes back as settings; what was edited is refused, and named."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.errors import ManifestUnusable
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.recorded_settings import from_json, to_json
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    LoadOptions,
    LoadSettings,
    RuntimeOptions,
    TransferOptions,
)

ODD = '/data/it\'s, a "x":\n{é}\udcff $HOME'
EXTRACT = ExtractOptions(
    step=7,
    keep_optimizer=True,
    inputs=("x:0", "a,b:0"),
    outputs=("y:0",),
    input_shapes={"x:0": (1, 2, 3)},
    reference_mb=5,
    seed=2**32 - 1,
    reader="both",
    tags=("serve", "gpu"),
    data_folder=Path(ODD, "shards"),
)
LOAD = LoadOptions(
    f"{ODD}/net.py:Net",
    {"widths": [8, 16], "name": None, "deep": {"rate": 0.5}},
    Path(ODD, "edited.csv"),
    1e-3,
    prove=False,
    transfer=TransferOptions(rules=(r"a(\d) -> b\1",), freeze=("enc.*",), dtype="bfloat16"),
)
RUNTIME = RuntimeOptions(
    "docker", "cuda:1", memory_limit_bytes=1 << 33, requirements=Path(ODD, "more.txt")
)
CONVERT = ConvertSettings(
    Path(ODD, "ckpt", "model-7"), Path(ODD, "out"), False, EXTRACT, LOAD, RUNTIME
)
SETTINGS = [
    pytest.param("convert", CONVERT, id="convert"),
    pytest.param(
        "convert",
        ConvertSettings(
            Path("/c"), Path("/o"), True, ExtractOptions(), LoadOptions("unet"), RuntimeOptions()
        ),
        id="defaults",
    ),
    pytest.param(
        "extract",
        ExtractSettings(Path(ODD, "ckpt"), Path("/o"), True, EXTRACT, RUNTIME),
        id="extract",
    ),
    pytest.param(
        "load", LoadSettings(Path(ODD, "export"), Path("/o"), False, LOAD, RUNTIME), id="load"
    ),
]
FILE = {"name": "sub/a b.index", "size_bytes": 3, "sha256": "0" * 64}
IMAGE = {"stage": "extract", "reference": "x:1", "id": "sha256:1", "base": {"name": "python"}}


def manifest(command: str, settings: object) -> dict:
    folders = {
        "checkpoint": f"{ODD}/ckpt",
        "data": f"{ODD}/shards",
        "map": ODD,
        "model": ODD,
        "requirements": ODD,
        "export": f"{ODD}/export",
    }
    return {
        "format": "tf1-to-torch-manifest",
        "version": 2,
        "command": command,
        "settings": to_json(settings),
        "inputs": [
            {"role": role, "folder": place, "files": [FILE]} for role, place in folders.items()
        ],
        "extract": {"image": IMAGE},
        "load": {"image": {**IMAGE, "stage": "load", "id": "sha256:2"}},
        "files": [FILE, {**FILE, "name": "export/graph.json"}],
    }


def written(folder: Path, content: object) -> Path:
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(("command", "settings"), SETTINGS)
def test_settings_come_back(command, settings):
    stored = json.loads(json.dumps(to_json(settings)))
    assert from_json(type(settings), stored, "settings") == settings


def test_a_run_is_told_by_its_folder_or_its_file(tmp_path):
    folder = written(tmp_path, manifest("convert", CONVERT))
    run = RecordedRun.read(folder)
    assert RecordedRun.read(folder / "manifest.json") == run
    assert (run.folder, run.command, run.runtime) == (folder, "convert", RUNTIME)
    assert [entry["name"] for entry in run.files] == ["sub/a b.index", "export/graph.json"]
    assert [one.role for one in run.inputs][:2] == ["checkpoint", "data"]
    assert run.input("checkpoint").files == (FILE,)
    assert run.images == {
        "extract": RecordedImage("extract", "x:1", "sha256:1", {"name": "python"}),
        "load": RecordedImage("load", "x:1", "sha256:2", {"name": "python"}),
    }


def test_stage_1_without_tensorflow_ran_in_the_image_of_stage_2(tmp_path):
    content = manifest("extract", SETTINGS[2].values[1])
    content["extract"]["image"]["stage"] = "load"
    del content["load"]
    assert set(RecordedRun.read(written(tmp_path, content)).images) == {"load"}


def test_asking_again_gives_the_same_settings(tmp_path):
    run = RecordedRun.read(written(tmp_path, manifest("convert", CONVERT)))
    out = Path("/elsewhere")
    assert run.settings(runtime=run.runtime, out=out) == replace(CONVERT, out=out)


def test_what_has_moved_is_looked_for_where_it_lies_now(tmp_path):
    run = RecordedRun.read(written(tmp_path, manifest("convert", CONVERT)))
    roles = ("checkpoint", "data", "map", "model", "requirements")
    moved = {role: Path("/bag", role) for role in roles}
    found = run.settings(moved=moved, runtime=run.runtime, out=Path("/new"))
    assert found.checkpoint == Path("/bag/checkpoint/model-7")
    assert found.extract.data_folder == Path("/bag/data")
    assert found.load.map == Path("/bag/map/edited.csv")
    assert found.load.model == "/bag/model/net.py:Net"
    assert found.runtime.requirements == Path("/bag/requirements/more.txt")
    # An image that holds them is another answer to the question where the packages are.
    inside = replace(run.runtime, requirements=None, load_image="sha256:2")
    assert run.settings(moved=moved, runtime=inside, out=Path("/new")).runtime == inside


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        # Shards that lay beside the index, or below it, are among the checkpoint's own files.
        pytest.param(f"{ODD}/ckpt/shards", "/bag/checkpoint/shards", id="below-the-checkpoint"),
        pytest.param("/elsewhere", None, id="nothing-was-read-there"),
    ],
)
def test_a_data_folder_without_files_of_its_own(tmp_path, folder, expected):
    settings = replace(CONVERT, extract=replace(EXTRACT, data_folder=Path(folder)))
    content = manifest("convert", settings)
    del content["inputs"][1]
    run = RecordedRun.read(written(tmp_path, content))
    moved = {"checkpoint": Path("/bag/checkpoint")}
    found = run.settings(moved=moved, runtime=run.runtime, out=Path("/new"))
    assert found.extract.data_folder == (expected and Path(expected))
    assert run.settings(runtime=run.runtime, out=settings.out) == settings


def test_a_package_moves_with_its_folder(tmp_path):
    load = LoadOptions("mypkg.nets:Net", model_folder=Path(ODD))
    content = manifest("load", LoadSettings(Path(ODD, "export"), Path("/o"), False, load, RUNTIME))
    run = RecordedRun.read(written(tmp_path, content))
    moved = {"model": Path("/bag/code"), "export": Path("/bag/export")}
    found = run.settings(moved=moved, runtime=run.runtime, out=Path("/new"))
    assert (found.load.model, found.load.model_folder) == ("mypkg.nets:Net", Path("/bag/code"))
    assert found.export == Path("/bag/export")


GONE = object()
EDITS = [
    pytest.param(["version"], 1, "its version is 1, known is 2", id="version-1"),
    pytest.param(["version"], 3, "its version is 3", id="version-3"),
    pytest.param(["format"], "bag", "no manifest of this program", id="format"),
    pytest.param(["command"], "batch", "command is 'batch'", id="command"),
    pytest.param(["command"], ["convert"], "command is", id="command-is-a-list"),
    pytest.param(["inputs"], GONE, "'inputs' is missing", id="no-inputs"),
    pytest.param(["inputs"], {}, "inputs is no list", id="inputs"),
    pytest.param(["inputs", 0], GONE, "inputs holds no checkpoint", id="no-checkpoint"),
    pytest.param(["inputs", 1, "role"], "map", "inputs names a role twice", id="role-twice"),
    pytest.param(["inputs", 0, "role"], "secret", "inputs[0].role is 'secret'", id="role"),
    pytest.param(["inputs", 0, "role"], {}, "inputs[0].role", id="role-is-an-object"),
    pytest.param(["inputs", 1, "folder"], "shards", "inputs[1].folder is 'shards'", id="relative"),
    pytest.param(["inputs", 1, "folder"], None, "inputs[1].folder is None", id="no-folder"),
    pytest.param(["inputs", 0, "files", 0, "name"], "../x", "'../x'", id="name-leads-out"),
    pytest.param(
        ["inputs", 0, "files", 0, "name"], "/etc/passwd", "'/etc/passwd'", id="from-the-root"
    ),
    pytest.param(["inputs", 0, "files", 0, "name"], "a\0", "a\\x00", id="no-file-name"),
    pytest.param(["files", 0, "name"], "", "files[0].name is ''", id="empty-name"),
    pytest.param(["files", 1, "name"], "sub/a b.index", "twice", id="twice"),
    pytest.param(["files", 1, "size_bytes"], -1, "files[1].size_bytes is -1", id="size"),
    pytest.param(["files", 1, "size_bytes"], True, "size_bytes is True", id="size-is-no-number"),
    pytest.param(["files", 0, "sha256"], "0" * 63, "files[0].sha256", id="hash"),
    pytest.param(["files", 0], [], "files[0] is []", id="entry-is-a-list"),
    pytest.param(["settings"], [], "settings is []", id="settings"),
    pytest.param(
        ["settings", "extract", "seed"], GONE, "settings.extract lacks 'seed'", id="lacks"
    ),
    pytest.param(["settings", "load", "evil"], 1, "settings.load has 'evil'", id="unknown"),
    pytest.param(["settings", "extract", "seed"], "1", "settings.extract.seed is '1'", id="text"),
    pytest.param(["settings", "extract", "seed"], True, "seed is True", id="bool"),
    pytest.param(["settings", "extract", "reader"], "fast", "one of auto, tf, pure", id="reader"),
    pytest.param(
        ["settings", "extract", "input_shapes", "x:0", 1], None, "x:0[1] is None", id="deep"
    ),
    pytest.param(["settings", "load", "tolerance"], "nan", "tolerance is 'nan'", id="tolerance"),
    pytest.param(["settings", "load", "map"], "/etc/passwd", "passwd", id="map-elsewhere"),
    pytest.param(
        ["settings", "checkpoint"], f"{ODD}/ckpt/../../x", "ckpt", id="checkpoint-elsewhere"
    ),
    pytest.param(
        ["settings", "checkpoint"], "ckpt", "a path from the root", id="checkpoint-relative"
    ),
    pytest.param(
        ["load", "image", "stage"],
        "train",
        "load.image.stage is 'train', expected one of extract",
        id="stage",
    ),
    pytest.param(["load", "image", "id"], 5, "load.image.id is 5", id="image"),
    pytest.param(["load", "image"], GONE, "'image' is missing", id="no-image"),
]


@pytest.mark.parametrize(("place", "value", "told"), EDITS)
def test_an_edited_manifest_is_refused(tmp_path, place, value, told):
    content = copy.deepcopy(manifest("convert", CONVERT))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    with pytest.raises(ManifestUnusable) as raised:
        RecordedRun.read(written(tmp_path, content))
    assert told in raised.value.happened


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b"\xff\xfe", "no JSON", id="binary"),
        pytest.param(b"[" * 100_000, "no JSON", id="deep"),
        pytest.param(b"[1]", "no manifest of this program", id="list"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, content, told):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    for given in (tmp_path, path):
        with pytest.raises(ManifestUnusable) as raised:
            RecordedRun.read(given)
        assert told in raised.value.happened
