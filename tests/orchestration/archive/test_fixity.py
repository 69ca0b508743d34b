"""Single faults of a bag's files: each is found, and told by the name of the file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest

from orchestration.archive.verify.fixity import check_fixity
from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.tar_members import read_stream
from orchestration.archive.verify.verdicts import Verdict
from tests.orchestration.archive.bags import (
    Change,
    add,
    flip,
    make_bag,
    members_of,
    remove,
    rename,
    replace,
    swap,
    write_stream,
)

PAYLOAD = {
    "original/model.ckpt.index": b"index" * 7,
    "result/model.safetensors": bytes(range(256)) * 5000,
    "result/mapping.csv": b"tf,torch\na,b\n",
    "result/empty": b"",
    "code/änderung 1.py": b"pass\n",
    "code/two\nlines.py": b"pass # 2\n",
}
MODEL = "data/result/model.safetensors"
INDEX = "data/original/model.ckpt.index"
LISTS = [f"{tag}manifest-{name}.txt" for tag in ("", "tag") for name in ("sha256", "sha512")]


def folder_verdict(bag: Path, scratch: Path) -> Verdict:
    return check_fixity(read_folder(bag, lambda done, total: None))


def stream_verdict(bag: Path, scratch: Path) -> Verdict:
    stream = write_stream(scratch / "x.tar.zst", members_of(bag))
    (scratch / "unpacked").mkdir()
    content = read_stream(stream, scratch / "unpacked", lambda done, total: None, lambda path: True)
    return check_fixity(content)


@pytest.fixture(params=[folder_verdict, stream_verdict], ids=["folder", "stream"])
def verdict_of(request: pytest.FixtureRequest) -> Callable[[Path, Path], Verdict]:
    return request.param


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return make_bag(tmp_path / "x.bag", PAYLOAD)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_whole_bag_holds(bag, scratch, verdict_of):
    verdict = verdict_of(bag, scratch)
    assert (verdict.state, verdict.faults) == ("ok", ())
    size_bytes = sum(path.stat().st_size for path in bag.rglob("*") if path.is_file())
    assert verdict.details == f"13 files, {size_bytes:,} bytes, SHA-256 and SHA-512"
    assert bagit.Bag(str(bag)).validate()


FLIPPED = [MODEL, INDEX, "data/result/mapping.csv", "data/code/änderung 1.py", "README.md"]
EMPTY = "data/result/empty"
FETCH = b"http://a.example/x 1 data/x\n"
FAULTS = [
    *(pytest.param(flip(name), {name: "changed"}, id=f"flip-{name}") for name in FLIPPED),
    pytest.param(flip(MODEL, 0), {MODEL: "changed"}, id="flip-first-byte"),
    pytest.param(flip(MODEL, 700_000), {MODEL: "changed"}, id="flip-in-the-middle"),
    pytest.param(add(EMPTY, b"x"), {EMPTY: "changed"}, id="no-longer-empty"),
    pytest.param(remove(MODEL), {MODEL: "missing"}, id="missing"),
    pytest.param(remove(EMPTY), {EMPTY: "missing"}, id="missing-empty"),
    pytest.param(remove("README.md"), {"README.md": "missing"}, id="missing-readme"),
    pytest.param(remove("bagit.txt"), {"bagit.txt": "missing"}, id="missing-declaration"),
    pytest.param(remove("bag-info.txt"), {"bag-info.txt": "missing"}, id="missing-bag-info"),
    *(pytest.param(remove(name), {name: "missing"}, id=f"missing-{name}") for name in LISTS),
    pytest.param(add("data/result/more"), {"data/result/more": "extra"}, id="extra"),
    pytest.param(add("data/result/.more"), {"data/result/.more": "extra"}, id="extra-hidden"),
    pytest.param(add("more.txt"), {"more.txt": "extra"}, id="extra-beside-data"),
    pytest.param(add("tagmanifest-md5.txt"), {"tagmanifest-md5.txt": "extra"}, id="extra-list"),
    pytest.param(add("fetch.txt", FETCH), {"fetch.txt": "extra"}, id="fetch"),
    pytest.param(rename(MODEL, f"{MODEL}.old"), {MODEL: "renamed"}, id="renamed"),
    pytest.param(rename(INDEX, "data/result/index"), {INDEX: "renamed"}, id="moved"),
    pytest.param(swap(MODEL, INDEX), {MODEL: "swapped", INDEX: "swapped"}, id="swapped"),
    # The tag manifests hold hashes of all others; no list holds theirs.
    pytest.param(
        replace("tagmanifest-sha512.txt", b" README", b"   README"),
        {" README.md": "missing"},
        id="tag-list-three-blanks",
    ),
    pytest.param(
        replace("tagmanifest-sha512.txt", b"\n", b"\r\n"),
        {"tagmanifest-sha512.txt": "malformed"},
        id="tag-list-line-end",
    ),
    pytest.param(
        replace("tagmanifest-sha512.txt", b"bagit.txt", b"../bagit.txt"),
        {"tagmanifest-sha512.txt": "malformed"},
        id="tag-list-leads-out",
    ),
    pytest.param(add("manifest-sha256.txt", b""), {"manifest-sha256.txt": "changed"}, id="emptied"),
]


@pytest.mark.parametrize(("change", "expected"), FAULTS)
def test_a_fault_is_found_and_named(bag, scratch, verdict_of, change: Change, expected):
    change(bag)
    verdict = verdict_of(bag, scratch)
    assert verdict.state == "failed"
    found = {fault.path: fault.kind for fault in verdict.faults}
    assert {path: found.get(path) for path in expected} == expected


@pytest.mark.parametrize("name", LISTS)
def test_every_bit_of_a_list_counts(tmp_path, scratch, name):
    """No flip of a list's bit passes: not of a hash, a blank, a path or a line's end.

    The list is named, not only what it lists.

    Every seventh bit: each place of a byte is met.
    """
    bag = make_bag(tmp_path / "x.bag", {"a": b"1", "b": b"2"})
    whole = (bag / name).read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (bag / name).write_bytes(changed)
        faults = folder_verdict(bag, scratch).faults
        assert [one for one in faults if name == one.path or name in one.text], (bit, faults)


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_inner_link(path: Path) -> None:
    path.symlink_to("model.safetensors")


def make_folder_link(path: Path) -> None:
    path.symlink_to("/")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make_link, id="link-out"),
        pytest.param(make_inner_link, id="link-inside"),
        pytest.param(make_folder_link, id="link-to-a-folder"),
        pytest.param(os.mkfifo, id="pipe"),
        pytest.param(make_socket, id="socket"),
    ],
)
@pytest.mark.parametrize("name", ["data/result/odd", "odd", "bag-info.txt", MODEL])
def test_what_is_no_plain_file_is_never_opened(bag, scratch, make, name, monkeypatch):
    monkeypatch.chdir(scratch)
    (bag / name).unlink(missing_ok=True)
    make(bag / name)
    content = read_folder(bag, lambda done, total: None)
    assert not content.is_plain
    faults = {
        fault.path: fault.kind for fault in check_fixity(content).faults if fault.kind == "unsafe"
    }
    assert faults == {name: "unsafe"}


def test_a_folder_that_may_not_be_read_is_named(bag, scratch):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (bag / "data" / "result").chmod(0)
    try:
        verdict = folder_verdict(bag, scratch)
    finally:
        (bag / "data" / "result").chmod(0o755)
    assert "unreadable" in {fault.kind for fault in verdict.faults if fault.path == "data/result"}
