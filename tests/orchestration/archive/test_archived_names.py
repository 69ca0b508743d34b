"""Files whose names a bag cannot list are in it all the same, and are found again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestration.archive.portable_names import read_renamed
from tests.orchestration.archive.made_result import (
    contents,
    make_result,
    says_bagit,
    unpack,
)

SMALL = "--without-program"


NASTY = (
    "100%.txt",
    "a%0Ab",
    "line\nbreak",
    "many\n\n\n\nbreaks",
    "cr\rlf\r\n",
    " blank before",
    "blank behind ",
    "no-break behind\u00a0",
    "tab\t",
    "*star",
    "#hash",
    "back\\slash",
    "quote'\"",
    "-rf",
    "u\u0308 in two",
    "漢字",
    "_x41_",
    "line\u2028separator",
    "next\x85line",
    os.fsdecode(b"latin1-\xe9"),
    "n" * 255,
    "%" * 255,
)


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_whatever_a_file_is_called_it_is_found_again(tmp_path: Path, bag: str) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for number, name in enumerate(NASTY):
        (code / name).write_bytes(str(number).encode())
    # Both ways to write one name, beside each other.
    (code / "\u00fc in two").write_bytes(b"one letter")
    (code / "fol\nder").mkdir()
    (code / "fol\nder" / "x").write_bytes(b"deep")
    made = make_result(tmp_path)
    run = made.archive(bag, SMALL, "--with-code", code)
    assert run.returncode == 0, run.stderr
    folder = tmp_path / bag
    if bag.endswith(".zst"):
        folder = unpack(folder, tmp_path / "unpacked")
    assert says_bagit(folder) == (0, "")
    quiet = ["sha256sum", "--check", "--quiet", "manifest-sha256.txt"]
    assert subprocess.run(quiet, cwd=folder, check=False).returncode == 0
    renamed = read_renamed((folder / "data" / "renamed.json").read_bytes())
    found = contents(folder / "data")
    restored = {renamed.get(name, name): content for name, content in found.items()}
    assert {
        name.removeprefix("code/"): content
        for name, content in restored.items()
        if name.startswith("code/")
    } == contents(code)
    assert not {"code/*star", "code/漢字", "code/-rf", f"code/{'n' * 255}"} & set(renamed)
    # Any text can be shown.
    assert "`code/100%.txt`" in (folder / "README.md").read_text(encoding="utf-8")


def test_originals_too(tmp_path: Path) -> None:
    originals = {name: name.encode("utf-8", "surrogateescape") for name in NASTY}
    made = make_result(tmp_path, originals)
    run = made.archive("x.bag", SMALL)
    assert run.returncode == 0, run.stderr
    assert says_bagit(tmp_path / "x.bag") == (0, "")
    kept = contents(tmp_path / "x.bag" / "data" / "original")
    assert sorted(kept.values()) == sorted(originals.values())
