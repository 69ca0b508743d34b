"""`export --to huggingface`: a folder for others, whole or absent, of an unchanged result."""

from __future__ import annotations

import json
import os
import resource
import shutil

import pytest
from click.testing import CliRunner

import orchestrate
from orchestration.errors import (
    BagDamaged,
    BagUnreadable,
    ManifestUnusable,
    NotShareable,
    OutputNotWritable,
    ResultChanged,
    ResultExists,
)
from orchestration.hub.export import export_to_hub
from orchestration.hub.options import HubOptions
from tests.orchestration.archive.bags import renew_lists
from tests.orchestration.archive.made_result import REPOSITORY, contents
from tests.orchestration.hub.hub_result import config, export, make_shareable


def share(source, out, **options):
    return export_to_hub(HubOptions(source, out, **options), lambda done, total: None)


@pytest.fixture
def made(tmp_path):
    return make_shareable(tmp_path)


def test_what_lies_in_the_folder(made, tmp_path):
    told = export(made.result, tmp_path / "out")
    assert (told.returncode, told.stderr) == (0, "")
    assert "proven, licence unknown (--license names it)" in told.stdout
    found, result = contents(tmp_path / "out"), contents(made.result)
    card = found.pop("README.md")
    assert found == {
        "config.json": b'{\n  "width": 3\n}\n',
        "conversion.json": result["config.json"],
        "hub_model.py": (REPOSITORY / "stage_load" / "hub_model.py").read_bytes(),
        "mapping.csv": result["mapping.csv"],
        "model.safetensors": result["model.safetensors"],
        "model_source/net.py": result["model_source/net.py"],
        "report.html": result["report.html"],
    }
    # Names of folders and hosts are nobody's business.
    assert os.fsencode(tmp_path) not in card
    assert b"node7" not in card
    # Whoever trains on and saves into the folder must not write into the result.
    assert (tmp_path / "out" / "model.safetensors").stat().st_nlink == 1


def test_the_default_place_and_quiet(made, monkeypatch):
    monkeypatch.chdir(made.folder)
    words = ["export", "unet-torch", "--to", "huggingface", "-q"]
    told = CliRunner().invoke(orchestrate.cli, words, standalone_mode=False)
    assert (told.exception, told.output) == (None, "")
    assert (made.folder / "unet-torch-huggingface" / "README.md").is_file()


def test_equal_results_give_equal_folders_also_out_of_bags(made, tmp_path):
    (tmp_path / "text").write_text("Do as you like.\n")
    for bag in ("x.bag", "x.bag.tar.zst"):
        assert made.archive(bag, "--without-program", "--license", "text").returncode == 0
    for name, source in (("1", "x.bag"), ("2", "x.bag"), ("3", "x.bag.tar.zst")):
        share(tmp_path / source, tmp_path / name)
        assert contents(tmp_path / name) == contents(tmp_path / "1"), source
    share(made.result, tmp_path / "4")
    bare, licensed = contents(tmp_path / "4"), contents(tmp_path / "1")
    assert licensed.pop("LICENSE") == b"Do as you like.\n"
    assert (
        licensed.pop("README.md").partition(b"tags:")[2]
        == bare.pop("README.md").partition(b"tags:")[2]
    )
    assert licensed == bare


@pytest.mark.parametrize(
    ("archived", "given", "front"),
    [
        pytest.param([], None, 'license: "unknown"\nlibrary', id="nothing"),
        pytest.param(["--license", "CC-BY-4.0"], None, 'license: "cc-by-4.0"\nlib', id="bag"),
        pytest.param(
            ["--license", "text of ours"],
            None,
            'license: "other"\nlicense_name: "text-of-ours"\nlicense_link: "LICENSE"\nlib',
            id="file-in-the-bag",
        ),
        pytest.param(["--license", "MIT"], "Apache-2.0", 'license: "apache-2.0"\nlib', id="given"),
        pytest.param(
            [],
            "text of ours",
            'license: "other"\nlicense_name: "text-of-ours"\nlicense_link: "LICENSE"\nlib',
            id="file-given",
        ),
    ],
)
def test_the_licence_is_the_archives_or_the_given_one(
    archived, given, front, made, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text of ours").write_text("Do as you like.\n")
    assert made.archive("x.bag", "--without-program", *archived).returncode == 0
    options = () if given is None else ("--license", given)
    told = export(tmp_path / "x.bag", tmp_path / "out", *options)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "out" / "README.md").read_text().startswith(f"---\n{front}")
    assert (tmp_path / "out" / "LICENSE").exists() == ("LICENSE" in front)


def test_a_licence_of_a_bag_leads_nowhere_out_of_it(made, tmp_path):
    (tmp_path / "secret").write_text("key\n")
    (tmp_path / "text").write_text("Do as you like.\n")
    assert made.archive("x.bag", "--without-program", "--license", "text").returncode == 0
    crate = tmp_path / "x.bag" / "data" / "ro-crate-metadata.json"
    listed = crate.read_bytes()
    crate.write_bytes(listed.replace(b'"legal/license/text"', b'"../../secret"'))
    assert crate.read_bytes() != listed
    renew_lists(tmp_path / "x.bag")
    share(tmp_path / "x.bag", tmp_path / "out")
    assert not (tmp_path / "out" / "LICENSE").exists()


def edit(name, data):
    """Change a file after the record was made."""
    return lambda made: (made.result / name).write_bytes(data)


def same_size(name):
    def damage(made):
        path = made.result / name
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    return damage


def record(**changes):
    """Make the result anew, with another record or config.json."""

    def damage(made):
        shutil.rmtree(made.result)
        make_shareable(made.folder, **changes)

    return damage


MODEL = {"name": "net.py:Net", "source": "net.py"}


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [
        pytest.param(same_size("model.safetensors"), ResultChanged, "model.safetensors", id="bit"),
        pytest.param(same_size("config.json"), NotShareable, "tells no model", id="config-bit"),
        pytest.param(
            same_size("model_source/net.py"), ResultChanged, "model_source/net.py", id="code"
        ),
        pytest.param(edit("mapping.csv", b""), ResultChanged, "mapping.csv", id="mapping-cut"),
        pytest.param(
            lambda made: (made.result / "model.safetensors").unlink(),
            ResultChanged,
            "model.safetensors",
            id="no-weights",
        ),
        pytest.param(
            lambda made: (made.result / "manifest.json").unlink(),
            ManifestUnusable,
            "has no manifest.json",
            id="no-manifest",
        ),
        pytest.param(record(document={}), NotShareable, "KeyError: 'model'", id="config-empty"),
        pytest.param(record(document=[1]), NotShareable, "tells no model", id="config-a-list"),
        pytest.param(
            record(document=config(model={**MODEL, "config": [3]})),
            NotShareable,
            "is no dict",
            id="arguments-a-list",
        ),
        pytest.param(
            record(document=config(dtype={})), NotShareable, "'name'", id="dtype-without-name"
        ),
        pytest.param(
            record(document=config(model={**MODEL, "config": {"token": 3, "width": 2}})),
            NotShareable,
            "takes an argument 'token'",
            id="argument-of-the-mixin",
        ),
        pytest.param(record(files=[]), NotShareable, "has no model.safetensors", id="export-alone"),
    ],
)
def test_a_result_that_is_not_shared(damage, error, told, made, tmp_path):
    damage(made)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error, match=told):
        share(made.result, tmp_path / "new" / "out")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_damaged_bag(made, tmp_path):
    assert made.archive("x.bag", "--without-program").returncode == 0
    (tmp_path / "x.bag" / "data" / "original" / "m.index").write_bytes(b"Index")
    told = export(tmp_path / "x.bag", tmp_path / "out")
    assert told.returncode == BagDamaged.exit_code
    assert "data/original/m.index (changed)" in told.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"text", "is no .tar.zst", id="another-file"),
        pytest.param(b"\x28\xb5\x2f\xfdxx", "damaged", id="stream-broken"),
    ],
)
def test_a_file_that_is_no_bag(content, told, tmp_path):
    (tmp_path / "x.tar.zst").write_bytes(content)
    with pytest.raises((BagUnreadable, BagDamaged), match=told):
        share(tmp_path / "x.tar.zst", tmp_path / "out")


@pytest.mark.parametrize(
    "out",
    [
        pytest.param("unet-torch", id="the-result"),
        pytest.param("unet-torch/shared", id="inside"),
        pytest.param(".", id="around"),
        pytest.param("foreign", id="foreign-folder"),
        pytest.param("file", id="file"),
    ],
)
def test_nothing_of_others_is_replaced(out, made, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "conversion.json").write_text("{}")
    (tmp_path / "file").write_text("")
    before = contents(tmp_path)
    with pytest.raises(ResultExists):
        share(made.result, tmp_path / out, force=True)
    assert contents(tmp_path) == before


def test_an_earlier_folder_is_replaced_only_with_force_and_only_by_a_whole_one(made, tmp_path):
    out = tmp_path / "out"
    share(made.result, out)
    (out / "README.md").write_text("mine")
    with pytest.raises(ResultExists, match="exported before"):
        share(made.result, out)
    model = made.result / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b"\x01")
    with pytest.raises(ResultChanged):
        share(made.result, out, force=True)
    assert (out / "README.md").read_text() == "mine"
    model.write_bytes(whole)
    share(made.result, out, force=True)
    assert (out / "README.md").read_text().startswith("---\n")
    assert [name for name in os.listdir(tmp_path) if "partial" in name] == []


def test_an_empty_folder_is_taken(made, tmp_path):
    (tmp_path / "out").mkdir()
    share(made.result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_bytes()) == {"width": 3}


def test_a_full_disk_is_told_and_nothing_is_left(made, tmp_path):
    before = sorted(os.listdir(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(OutputNotWritable, match="cannot be written below"):
            share(made.result, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(tmp_path)) == before


def test_progress_counts_every_byte(made, tmp_path):
    seen: list[tuple[int, int]] = []
    options = HubOptions(made.result, tmp_path / "out")
    export_to_hub(options, lambda done, total: seen.append((done, total)))
    copied = ("model.safetensors", "config.json", "mapping.csv", "report.html")
    total = sum((made.result / name).stat().st_size for name in copied)
    total += (made.result / "model_source" / "net.py").stat().st_size
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_the_path_may_be_a_link(made, tmp_path):
    (tmp_path / "link").symlink_to(made.result)
    share(tmp_path / "link", tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()
