"""Models inside of archives: read as they are outside."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import zipfile
from typing import Any, Dict

import pytest
import tensorflow

from stage_extract.archives import unpack as unpacking
from tests.extract.formats import keras_files

compat = tensorflow.compat.v1

KIND_OF_TAR = {"model.tar": "w", "model.tar.gz": "w:gz", "model.tbz": "w:bz2", "model.txz": "w:xz"}
DATA = ".data-00000-of-00001"


def files_of(prefix: str) -> Dict[str, bytes]:
    folder = os.path.dirname(prefix)
    contents = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            contents[name] = file.read()
    return contents


def make_archive(path: Any, contents: Dict[str, bytes]) -> Any:
    if path.suffix == ".zip":
        with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(str(path), KIND_OF_TAR[path.name]) as archive_of_tape:
        for name, content in contents.items():
            archive_of_tape.addfile(tar_info(name, len(content)), io.BytesIO(content))
    return path


def tar_info(name: str, size_bytes: int = 0, **attributes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


def below(folder: str, contents: Dict[str, bytes]) -> Dict[str, bytes]:
    return {folder + name: content for name, content in contents.items()}


@pytest.mark.parametrize("folder", ["", "./", "results/2018/run 3/"])
@pytest.mark.parametrize("name", [*KIND_OF_TAR, "model.zip"])
def test_a_checkpoint_leaves_an_archive_as_it_leaves_its_folder(
    tmp_path, out, checkpoint, run_extraction, name, folder
):
    path = make_archive(tmp_path / name, below(folder, files_of(checkpoint)))
    plain = tmp_path / "plain"
    plain.mkdir()
    run_extraction(checkpoint, plain)
    result = run_extraction(path, out).result
    assert sorted(os.listdir(str(out))) == sorted(os.listdir(str(plain)))
    for file in plain.iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name
    assert (result["checkpoint"]["prefix"], result["checkpoint"]["step"]) == ("model.ckpt-20", 20)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(one["name"], one["sha256"]) for one in result["checkpoint"]["files"]] == [
        (name, digest)
    ]


def test_an_archive_is_found_in_its_folder(tmp_path, out, checkpoint, run_extraction):
    folder = tmp_path / "downloads"
    folder.mkdir()
    make_archive(folder / "model.zip", files_of(checkpoint))
    (folder / "notes.txt").write_text("as promised")
    assert run_extraction(folder, out).result["variables"] == 5


def test_inspect_leaves_nothing_behind(tmp_path, checkpoint, run_extraction, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = make_archive(tmp_path / "model.tar", files_of(checkpoint))
    inspection = run_extraction(path, None, "inspect").result["inspection"]
    assert inspection["totals"]["variables"]["tensors"] == 5
    assert os.listdir(str(scratch)) == []


@pytest.mark.parametrize(
    ("compress", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz")]
)
def test_one_compressed_file_is_unpacked(tmp_path, compress, suffix):
    path = tmp_path / ("weights.h5" + suffix)
    path.write_bytes(compress(b"any content" * 99))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    assert unpacking.unpack(str(path), str(folder)) == (1, ())
    assert (folder / "weights.h5").read_bytes() == b"any content" * 99


def test_what_macos_adds_is_no_second_model(tmp_path, out, checkpoint, run_extraction):
    contents = below("net/", files_of(checkpoint))
    contents.update(below("__MACOSX/net/._", files_of(checkpoint)))
    path = make_archive(tmp_path / "model.zip", contents)
    assert run_extraction(path, out).result["variables"] == 5


def test_two_models_are_listed(tmp_path, out, checkpoint, run_extraction):
    contents = {**below("first/", files_of(checkpoint)), **below("second/", files_of(checkpoint))}
    path = make_archive(tmp_path / "model.tar.gz", contents)
    error = run_extraction(path, out).error
    assert error["class"] == "AmbiguousCheckpoint"
    assert "first/model.ckpt-20, second/model.ckpt-20" in error["happened"]
    assert os.listdir(str(out)) == []


def test_an_error_names_the_archive_and_not_where_it_was_unpacked(
    tmp_path, out, checkpoint, run_extraction
):
    contents = files_of(checkpoint)
    del contents["model.ckpt-20" + DATA]
    path = make_archive(tmp_path / "model.tar", contents)
    error = run_extraction(path, out).error
    assert error["class"] == "DataFileMissing"
    assert f"'{path}/model.ckpt-20'" in error["happened"]
    assert "unpacked-" not in str({**error, "traceback": None})
    assert os.listdir(str(out)) == []


def test_a_link_is_left_out_and_told(tmp_path, out, checkpoint, run_extraction):
    path = tmp_path / "model.tar"
    with tarfile.open(str(path), "w") as archive:
        for name, content in files_of(checkpoint).items():
            if name.endswith(DATA):
                link = tar_info(name, type=tarfile.SYMTYPE, linkname=checkpoint + DATA)
                archive.addfile(link)
            else:
                archive.addfile(tar_info(name, len(content)), io.BytesIO(content))
    outcome = run_extraction(path, out)
    assert outcome.error["class"] == "DataFileMissing"
    assert [text for text in outcome.warnings if "1 links or special files" in text]


def saved_model(folder: Any) -> Any:
    with compat.Graph().as_default(), compat.Session() as session:
        x = compat.placeholder("float32", [None, 3])
        y = compat.layers.dense(x, 2)
        session.run(compat.global_variables_initializer())
        compat.saved_model.simple_save(session, str(folder / "net"), {"x": x}, {"y": y})
    return folder / "net"


def v1_checkpoint(folder: Any) -> Any:
    (folder / "net").mkdir()
    with compat.Graph().as_default(), compat.Session() as session:
        compat.get_variable("w", [2, 3])
        session.run(compat.global_variables_initializer())
        saver = compat.train.Saver(write_version=compat.train.SaverDef.V1)
        saver.save(session, str(folder / "net" / "model.ckpt"))
    return folder / "net"


def keras_weights(folder: Any) -> Any:
    (folder / "net").mkdir()
    keras_files.save(folder / "net" / "weights.h5", keras_files.small, whole=False)
    return folder / "net"


@pytest.mark.parametrize("make", [saved_model, v1_checkpoint, keras_weights])
def test_other_formats_leave_an_archive_as_they_leave_their_folder(
    tmp_path, out, run_extraction, make
):
    folder = make(tmp_path)
    plain = tmp_path / "plain"
    plain.mkdir()
    expected = run_extraction(folder, plain, reference=True).result
    contents = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    result = run_extraction(make_archive(tmp_path / "model.tar", contents), out, reference=True)
    assert result.result["checkpoint"]["prefix"] == expected["checkpoint"]["prefix"]
    names = sorted(os.listdir(str(plain)))
    assert sorted(os.listdir(str(out))) == names
    for name in names:
        assert (out / name).read_bytes() == (plain / name).read_bytes(), name
