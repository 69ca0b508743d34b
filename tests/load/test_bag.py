"""``load_model`` on an archive: the result is found in it, and compared before it is used."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import torch

from stage_load import load_model
from stage_load.errors import ResultDamaged
from tests.load.hostility import pipe, serve_job
from tests.load.networks import CLASSIFIER_SOURCE, classifier_export, write_model

CONFIG, MODEL = "data/result/config.json", "data/result/model.safetensors"


def manifest_of(bag, algorithm):
    lines = [
        f"{hashlib.new(algorithm, path.read_bytes()).hexdigest()}  {path.relative_to(bag)}\n"
        for path in sorted((bag / "data").rglob("*"))
        if path.is_file()
    ]
    return "".join(lines)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The result of a user's own model."""
    folder = tmp_path_factory.mktemp("result")
    maker, _ = classifier_export()
    model = f"{write_model(folder, CLASSIFIER_SOURCE)}:Classifier"
    (folder / "out").mkdir()
    done = serve_job(maker.write(folder / "export"), folder / "out", model)
    assert done["event"] == "done"
    return folder / "out"


@pytest.fixture(params=["sha256", "sha512"])
def bag(request, result, tmp_path):
    """An archive of it, by the format's standard (RFC 8493)."""
    folder = tmp_path / "pro ject.bag"
    shutil.copytree(result, folder / "data" / "result")
    declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    (folder / "bagit.txt").write_text(declaration)
    name = f"manifest-{request.param}.txt"
    (folder / name).write_text(manifest_of(folder, request.param))
    return folder


def test_a_bag_gives_the_model_of_its_result(bag):
    inner = load_model(bag / "data" / "result", trust_code=True).state_dict()
    loaded = load_model(bag, trust_code=True).state_dict()
    assert loaded.keys() == inner.keys()
    assert all(torch.equal(tensor, inner[name]) for name, tensor in loaded.items())


def test_code_in_a_bag_runs_only_when_it_is_trusted(bag, capfd):
    source = next((bag / "data/result/model_source").glob("*.py"))
    source.write_text("print('ran', flush=True)\n" + source.read_text())
    for manifest in bag.glob("manifest-*.txt"):
        algorithm = manifest.stem.partition("-")[2]
        manifest.write_text(manifest_of(bag, algorithm))
    with pytest.raises(ResultDamaged, match="own Python code"):
        load_model(bag)
    assert capfd.readouterr().out == ""
    load_model(bag, trust_code=True)
    assert "ran" in capfd.readouterr().out


def flip(name, position=-1):
    """Change one bit of a file."""

    def damage(bag):
        data = bytearray((bag / name).read_bytes())
        data[position] ^= 1
        (bag / name).write_bytes(data)

    return damage


def source_of(bag):
    return next((bag / "data/result/model_source").glob("*.py"))


def remove(name):
    return lambda bag: (bag / name).unlink()


def change_source(bag):
    source_of(bag).write_text("print('ran', flush=True)\n" + source_of(bag).read_text())


def add_neighbour(bag):
    (source_of(bag).parent / "torch.py").write_text("print('ran', flush=True)\n")


def link_neighbour(bag):
    (bag.parent / "elsewhere").mkdir()
    (source_of(bag).parent / "torch").symlink_to(bag.parent / "elsewhere")


def drop_line(bag):
    for manifest in bag.glob("manifest-*.txt"):
        lines = manifest.read_text().splitlines(keepends=True)
        manifest.write_text("".join(line for line in lines if MODEL not in line))


def spoil_manifest(bag):
    for manifest in bag.glob("manifest-*.txt"):
        manifest.write_text("no hash\n")


def remove_manifests(bag):
    for manifest in bag.glob("manifest-*.txt"):
        manifest.unlink()


def as_of_an_export(bag):
    """Leave what the archive of an export has: no model, and none in the lists."""
    for name in (CONFIG, MODEL):
        (bag / name).unlink()
    for manifest in bag.glob("manifest-*.txt"):
        manifest.write_text(manifest_of(bag, manifest.stem.partition("-")[2]))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(flip(MODEL), f"{MODEL} .* has changed: its sha.* listed is", id="weights"),
        pytest.param(flip(MODEL, 9), f"{MODEL} .* has changed", id="weights-header"),
        pytest.param(flip(CONFIG, 3), f"{CONFIG} .* has changed", id="config"),
        pytest.param(remove(MODEL), f"{MODEL} .* cannot be read", id="no-weights"),
        pytest.param(remove(CONFIG), f"{CONFIG} .* cannot be read", id="no-config"),
        pytest.param(pipe(MODEL), f"{MODEL} .* cannot be read", id="weights-a-pipe"),
        pytest.param(change_source, r"model_source/.*\.py .* has changed", id="code"),
        pytest.param(lambda bag: source_of(bag).unlink(), "cannot be read", id="no-code"),
        pytest.param(add_neighbour, "torch.py .* in no list", id="code-added"),
        pytest.param(link_neighbour, "torch .* in no list", id="folder-linked"),
        pytest.param(as_of_an_export, f"has no {CONFIG}.*orchestrate.py load", id="no-model"),
        pytest.param(drop_line, f"{MODEL} .* in no list", id="not-listed"),
        pytest.param(spoil_manifest, "no hash with a path: 'no hash'", id="list-spoilt"),
        pytest.param(remove_manifests, "neither manifest-sha256.txt nor", id="no-list"),
    ],
)
def test_a_damaged_bag_is_refused_before_anything_of_it_runs(damage, told, bag, capfd):
    damage(bag)
    with pytest.raises(ResultDamaged, match=told):
        load_model(bag, trust_code=True)
    assert capfd.readouterr().out == ""


def test_a_bag_that_is_packed(tmp_path):
    packed = tmp_path / "pro ject.tar.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(ResultDamaged, match=r"is a file.*zstd -xf '.*/pro ject\.tar\.zst'"):
        load_model(packed)
