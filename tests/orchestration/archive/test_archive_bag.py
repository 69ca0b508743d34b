"""Bags of a result, as folders and as one file: what lies in them, and what others say of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.orchestration.archive.made_result import (
    FIXED,
    Made,
    contents,
    make_result,
    says_bagit,
    unpack,
)

SMALL = "--without-program"
HASHES = ("sha256", "sha512")
Bagged = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_result(tmp_path)


@pytest.fixture(params=["folder", "stream"])
def bagged(request: pytest.FixtureRequest, made: Made, tmp_path: Path) -> Bagged:
    """Makes a bag of one kind or the other, and gives it as a folder."""

    def bag(*arguments: str | Path, name: str = "x.bag") -> Path:
        suffix = ".tar.zst" if request.param == "stream" else ""
        run = made.archive(f"{name}{suffix}", SMALL, *arguments)
        assert run.returncode == 0, run.stderr
        if not suffix:
            return tmp_path / name
        return unpack(tmp_path / f"{name}{suffix}", tmp_path / f"{name}-unpacked")

    return bag


def test_a_bag_is_one_by_the_library_and_holds_what_was_there(bagged: Bagged, made: Made) -> None:
    bag = bagged()
    assert bag.name == "x.bag"
    assert says_bagit(bag) == (0, "")
    payload = contents(bag / "data")
    metadata = json.loads(payload.pop("ro-crate-metadata.json"))
    expected = {
        **{f"original/{name}": one for name, one in contents(made.checkpoint).items()},
        **{f"result/{name}": one for name, one in contents(made.result).items()},
    }
    assert payload == expected
    assert expected.keys() <= {entity["@id"] for entity in metadata["@graph"]}


def test_every_file_is_listed_once_with_both_hashes(bagged: Bagged) -> None:
    bag = bagged()
    tags = {path.name for path in bag.iterdir() if path.is_file()}
    payload = {f"data/{name}" for name in contents(bag / "data")}
    for algorithm in HASHES:
        for name, files in (
            (f"manifest-{algorithm}.txt", payload),
            (f"tagmanifest-{algorithm}.txt", tags - {f"tagmanifest-{one}.txt" for one in HASHES}),
        ):
            lines = (bag / name).read_text(encoding="utf-8").splitlines()
            listed = dict(reversed(line.split("  ", 1)) for line in lines)
            assert lines == sorted(lines, key=lambda line: line.split("  ", 1)[1])
            assert listed == {
                file: hashlib.new(algorithm, (bag / file).read_bytes()).hexdigest()
                for file in files
            }
    run = subprocess.run(["sha512sum", "-c", "--quiet", "manifest-sha512.txt"], cwd=bag)
    assert run.returncode == 0


def test_what_a_bag_says_of_itself(bagged: Bagged) -> None:
    bag = bagged(
        *("--creator", "Ada Lovelace <0000-0002-1825-0097>", "--creator", "Bo <bo@example.org>"),
        *("--doi", "https://doi.org/10.5281/zenodo.7"),
    )
    files = contents(bag / "data")
    size_bytes = sum(map(len, files.values()))
    info = (bag / "bag-info.txt").read_text(encoding="utf-8").splitlines()
    assert info == [
        f"Bag-Size: {size_bytes / 1000:.3g} kB",
        "Bag-Software-Agent: tf1-to-torch 0.1.0",
        "Bagging-Date: 2023-11-14",
        "Contact-Name: Ada Lovelace",
        "Contact-Name: Bo",
        "Contact-Email: bo@example.org",
        "External-Description: ckpt 2018, converted from TensorFlow 1.x to PyTorch as unet",
        "External-Identifier: https://doi.org/10.5281/zenodo.7",
        f"Payload-Oxum: {size_bytes}.{len(files)}",
    ]
    assert (bag / "bagit.txt").read_bytes() == (
        b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    )


def test_archived_twice_it_is_equal(made: Made, tmp_path: Path) -> None:
    for name in ("x.bag", "x.bag.tar.zst"):
        for folder in ("a", "b"):
            assert made.archive(f"{folder}/{name}", SMALL).returncode == 0
            # What was copied later has other times, which must not show.
            for path in [*made.checkpoint.iterdir(), *made.result.iterdir()]:
                os.utime(path)
    assert contents(tmp_path / "a" / "x.bag") == contents(tmp_path / "b" / "x.bag")
    first, second = (tmp_path / folder / "x.bag.tar.zst" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_without_a_fixed_date_only_dates_differ(made: Made, tmp_path: Path) -> None:
    assert made.archive("fixed.bag", SMALL).returncode == 0
    assert made.archive("today.bag", SMALL, more={"SOURCE_DATE_EPOCH": ""}).returncode == 0
    fixed, today = contents(tmp_path / "fixed.bag"), contents(tmp_path / "today.bag")
    assert fixed.keys() == today.keys()
    differing = {name for name in fixed if fixed[name] != today[name]}
    assert {"bag-info.txt", "data/ro-crate-metadata.json"} <= differing
    assert {name for name in differing if "manifest" not in name} == {
        "bag-info.txt",
        "data/ro-crate-metadata.json",
    }


def test_members_of_a_stream_tell_nothing_of_the_machine(made: Made, tmp_path: Path) -> None:
    made.checkpoint.joinpath("m.index").chmod(0o600)
    assert made.archive("x.bag.tar.zst", SMALL).returncode == 0
    packed = (tmp_path / "x.bag.tar.zst").read_bytes()
    (tmp_path / "x.tar").write_bytes(
        zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    )
    with tarfile.open(tmp_path / "x.tar") as stream:
        members = stream.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mode, m.mtime, m.type) for m in members} == {
        (0, 0, "", "", 0o644, int(FIXED["SOURCE_DATE_EPOCH"]), tarfile.REGTYPE)
    }
    payload = [m.name for m in members if m.name.startswith("x.bag/data/")]
    assert payload[:-1] == sorted(payload[:-1])
    # What makes it a bag comes last.
    assert members[-1].name == "x.bag/bagit.txt"


def test_what_nobody_edits_is_shared_and_the_rest_is_not(made: Made, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "w.safetensors").write_bytes(b"a")
    assert made.archive("x.bag", SMALL, "--with-code", code).returncode == 0
    data = tmp_path / "x.bag" / "data"
    shared = {
        name
        for name in contents(data)
        for source in (made.result, made.checkpoint, code)
        if (path := source / name.partition("/")[2]).is_file()
        and path.stat().st_ino == (data / name).stat().st_ino
    }
    assert shared == {"result/model.safetensors", "result/export/variables.safetensors"}
    # Through its other name a shared file could be written into, and the bag would be broken.
    assert {name for name in contents(data) if not (data / name).stat().st_mode & 0o222} == shared


def test_on_another_file_system_everything_is_copied(made: Made) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second file system at /dev/shm")
    folder = Path("/dev/shm", f"tf1-to-torch-{os.getpid()}")
    try:
        assert made.archive(folder / "x.bag", SMALL).returncode == 0
        assert says_bagit(folder / "x.bag") == (0, "")
        result = folder / "x.bag" / "data" / "result"
        assert contents(result) == contents(made.result)
        assert result.joinpath("model.safetensors").stat().st_nlink == 1
    finally:
        shutil.rmtree(folder)


def test_packages_of_a_folder_are_kept(bagged: Bagged, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    (house / "SHA256SUMS").write_bytes(b"sums")
    bag = bagged("--with-wheelhouse", house)
    assert says_bagit(bag) == (0, "")
    assert contents(bag / "data" / "wheelhouse") == contents(house)


def test_licence_and_citation_are_kept_under_their_names(bagged: Bagged, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "TEXT").write_text(folder, encoding="ascii")
    bag = bagged("--license", tmp_path / "a" / "TEXT", "--citation", tmp_path / "b" / "TEXT")
    assert says_bagit(bag) == (0, "")
    assert contents(bag / "data" / "legal") == {"license/TEXT": b"a", "citation/TEXT": b"b"}
    graph = json.loads((bag / "data" / "ro-crate-metadata.json").read_text("utf-8"))["@graph"]
    root = next(entity for entity in graph if entity["@id"] == "./")
    assert root["license"] == {"@id": "legal/license/TEXT"}
    assert root["citation"] == {"@id": "legal/citation/TEXT"}


def test_a_signed_bag_is_signed_for_ssh_keygen_and_a_bag_still(
    bagged: Bagged, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    bag = bagged("--sign", key)
    assert says_bagit(bag) == (0, "")
    signature = bag / "tagmanifest-sha512.txt.sig"
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", "tf1-to-torch-bag", "-s", signature]
    signed = (bag / "tagmanifest-sha512.txt").read_bytes()
    assert subprocess.run(command, input=signed, check=False).returncode == 0
    assert subprocess.run(command, input=signed + b"x", check=False).returncode != 0
    assert all("sig" not in (bag / f"tagmanifest-{one}.txt").read_text("ascii") for one in HASHES)


def test_this_program_is_kept_as_its_checkout_has_it(made: Made, tmp_path: Path) -> None:
    run = made.archive("x.bag")
    assert run.returncode == 0, run.stderr
    assert says_bagit(tmp_path / "x.bag") == (0, "")
    program = tmp_path / "x.bag" / "data" / "program"
    assert not [name for name in contents(program) if ".venv" in name or "__pycache__" in name]
    run = subprocess.run(
        [sys.executable, program / "orchestrate.py", "archive", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "RESULT" in run.stdout
