"""What goes into a bag, what is left out, and what stands in the way."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.orchestration.archive.made_result import (
    Made,
    contents,
    make_result,
    write_record,
)

SMALL = "--without-program"
NOT_ARCHIVABLE = 80


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_result(tmp_path)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(Path.unlink, "No such file", id="gone"),
        pytest.param(grow, "it has changed, from", id="grown"),
        pytest.param(pipe, "it is no plain file", id="a pipe"),
        pytest.param(flip, "it has changed: its SHA-256 is", id="a flipped bit"),
    ],
)
def test_every_file_that_is_not_as_recorded_is_named(
    made: Made, bag: str, spoil: Callable[[Path], None], why: str
) -> None:
    spoiled = [made.checkpoint / "m.index", made.result / "export" / "variables.safetensors"]
    for path in spoiled:
        spoil(path)
    before = sorted(os.listdir(made.folder))
    run = made.archive(bag, SMALL)
    assert run.returncode == NOT_ARCHIVABLE
    assert "NotArchivable" in run.stderr
    for path in spoiled:
        assert f"{path}: {why}" in run.stderr
    assert "m.data-0" not in run.stderr
    assert sorted(os.listdir(made.folder)) == before


def test_the_users_code_is_taken_from_the_result_that_kept_it(tmp_path: Path) -> None:
    made = make_result(tmp_path)
    kept = made.result / "model_source"
    kept.mkdir()
    (kept / "net.py").write_text("as it was\n", encoding="ascii")
    write_record(made.checkpoint, made.result)
    file = made.result / "manifest.json"
    manifest = json.loads(file.read_bytes())
    described = [one for one in manifest["files"] if one["name"] == "model_source/net.py"]
    lay = {"role": "model", "folder": os.fspath(tmp_path)}
    manifest["inputs"].append({**lay, "files": [{**described[0], "name": "net.py"}]})
    file.write_text(json.dumps(manifest), encoding="ascii")
    (tmp_path / "net.py").write_text("worked on since\n", encoding="ascii")
    run = made.archive("x.bag", SMALL)
    assert run.returncode == 0, run.stderr
    given = tmp_path / "x.bag" / "data" / "given"
    assert contents(given) == {"model/net.py": b"as it was\n"}


def test_what_somebody_put_into_the_result_is_kept_too(made: Made, tmp_path: Path) -> None:
    (made.result / "notes.txt").write_bytes(b"ours")
    assert made.archive("x.bag", SMALL).returncode == 0
    assert contents(tmp_path / "x.bag" / "data" / "result") == contents(made.result)


def test_a_result_of_a_batch_is_a_result(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "batch").mkdir(parents=True)
    made.result.rename(out / "item-7")
    moved = Made(tmp_path, made.checkpoint, out / "item-7")
    assert moved.archive("x.bag", SMALL).returncode == 0
    assert contents(tmp_path / "x.bag" / "data" / "result") == contents(moved.result)


def test_links_of_a_checkpoint_are_followed(tmp_path: Path) -> None:
    made = make_result(tmp_path)
    path = made.checkpoint / "m.data-0"
    elsewhere = path.rename(tmp_path / "store")
    path.symlink_to(elsewhere)
    # As a run records it: the name in the folder, the content of what it leads to.
    assert made.archive("x.bag", SMALL).returncode == 0
    kept = tmp_path / "x.bag" / "data" / "original" / "m.data-0"
    assert not kept.is_symlink()
    assert kept.read_bytes() == elsewhere.read_bytes()


def test_a_result_that_is_none_is_refused(tmp_path: Path) -> None:
    made = make_result(tmp_path)
    (made.result / "manifest.json").unlink()
    run = made.archive("x.bag", SMALL)
    assert run.returncode == 83
    assert sorted(os.listdir(tmp_path)) == ["ckpt 2018", "unet-torch"]


def test_images_of_a_result_without_any_cannot_be_kept(made: Made) -> None:
    run = made.archive("x.bag", "--with-images")
    assert run.returncode == NOT_ARCHIVABLE
    assert "was made by the runtime local, without images" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--bag", "x.zip"], "neither a folder's name", id="zip"),
        pytest.param(["--bag", "x", "--license", "no/such"], "neither a file", id="licence"),
        pytest.param(["--bag", "x", "--creator", "A <1234>"], "neither an ORCID", id="creator"),
        pytest.param(["--bag", "x", "--doi", "11.5"], "is no DOI", id="doi"),
    ],
)
def test_options_are_checked_where_they_are_typed(
    made: Made, arguments: list[str], told: str
) -> None:
    program = made.command("x")[:2]
    run = subprocess.run(
        [*program, "archive", made.result, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert told in run.stderr


def test_a_date_that_is_none_is_refused(made: Made) -> None:
    run = made.archive("x.bag", more={"SOURCE_DATE_EPOCH": "yesterday"})
    assert run.returncode == 2
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in run.stderr
