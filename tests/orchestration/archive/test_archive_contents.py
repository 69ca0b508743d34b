"""What goes into a bag, what is left out, and what stands in the way."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.archive.portable_names import read_renamed
from orchestration.archive.program_files import git_commit, program_files
from tests.orchestration.archive.made_result import (
    REPOSITORY,
    Made,
    contents,
    make_result,
    says_bagit,
    unpack,
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


class TestOldCode:
    """--with-code."""

    @pytest.fixture
    def code(self, tmp_path: Path) -> Path:
        folder = tmp_path / "old repo"
        for name in ("train.py", "nets/unet.py", "only.pyc", "data/shared/x.csv"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return folder

    def archived(self, made: Made, code: Path) -> tuple[set[str], str]:
        """Names of what was kept, and what was said."""
        run = made.archive("x.bag", SMALL, "--with-code", code)
        assert run.returncode == 0, run.stderr
        bag = made.folder / "x.bag"
        assert says_bagit(bag) == (0, "")
        readme = (bag / "README.md").read_text(encoding="utf-8")
        return set(contents(bag / "data" / "code")), run.stderr + readme

    def test_caches_environments_and_history_are_passed_over(self, made: Made, code: Path) -> None:
        before = set(contents(code))
        for name in (
            *(".git/objects/ab/cd", "nets/.git", "__pycache__/train.cpython-37.pyc", "train.pyc"),
            *("env/pyvenv.cfg", "env/lib/x.py", "build/CACHEDIR.TAG", "build/x", ".hg/store"),
        ):
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_bytes(b"")
        names, said = self.archived(made, code)
        assert names == before
        assert "Left out" not in said

    def test_links_that_lead_out_and_what_is_no_file_are_left_out_and_said(
        self, made: Made, code: Path
    ) -> None:
        (code / "out").symlink_to("/etc/passwd")
        (code / "up").symlink_to("..")
        (code / "nowhere").symlink_to("gone")
        (code / "inside").symlink_to("data/shared")
        (code / "same.py").symlink_to("train.py")
        os.mkfifo(code / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(code / "socket"))
        names, said = self.archived(made, code)
        assert names == {"train.py", "nets/unet.py", "only.pyc", "data/shared/x.csv", "same.py"}
        for name, why in {
            "out": "a link that leads out, to /etc/passwd",
            "up": "a link that leads out, to ..",
            "nowhere": "a link that leads nowhere",
            "inside": "a link to the folder data/shared",
            "pipe": "a pipe, socket or device",
            "socket": "a pipe, socket or device",
        }.items():
            assert f"Left out: code/{name}, {why}" in said
            assert f"- `code/{name}`: {why}" in said

    def test_links_in_a_circle_have_an_end(self, made: Made, code: Path) -> None:
        (code / "one").symlink_to("two")
        (code / "two").symlink_to("one")
        (code / "self").symlink_to(".")
        names, said = self.archived(made, code)
        assert "train.py" in names
        assert "Left out: code/one" in said
        assert "Left out: code/self" in said

    def test_a_bag_in_the_folder_of_the_code_does_not_hold_itself(
        self, made: Made, code: Path
    ) -> None:
        for name in ("x.bag", "x.bag.tar.zst"):
            for more in ([], ["--force"]):
                run = made.archive(code / name, SMALL, "--with-code", code, *more)
                assert run.returncode == 0, run.stderr
        # The second bag holds the first, of another name.
        unpacked = unpack(code / "x.bag.tar.zst", made.folder / "unpacked")
        for bag in (code / "x.bag", unpacked):
            names = set(contents(bag / "data" / "code"))
            assert "train.py" in names
            assert not [name for name in names if "x.bag.tar" in name or "partial" in name]

    def test_the_commit_is_told(self, made: Made, code: Path) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.org"]
        for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run(["git", "-C", code, *command], check=True)
        commit = git_commit(code)
        answer = subprocess.run(
            ["git", "-C", code, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        assert commit == answer.stdout.strip()
        for command in (["pack-refs", "--all"], ["checkout", "-q", "--detach"]):
            subprocess.run(["git", "-C", code, *command], check=True)
            assert git_commit(code) == commit
        _, said = self.archived(made, code)
        assert f"`{commit}`" in said


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


class TestNames:
    """Names of files that a bag cannot list."""

    @pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
    def test_whatever_a_file_is_called_it_is_found_again(self, tmp_path: Path, bag: str) -> None:
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

    def test_originals_too(self, tmp_path: Path) -> None:
        originals = {name: name.encode("utf-8", "surrogateescape") for name in NASTY}
        made = make_result(tmp_path, originals)
        run = made.archive("x.bag", SMALL)
        assert run.returncode == 0, run.stderr
        assert says_bagit(tmp_path / "x.bag") == (0, "")
        kept = contents(tmp_path / "x.bag" / "data" / "original")
        assert sorted(kept.values()) == sorted(originals.values())


class TestProgram:
    """This program's own source."""

    def test_without_git_it_is_what_git_tracks(self, tmp_path: Path) -> None:
        tracked = program_files(REPOSITORY)
        assert "orchestrate.py" in tracked
        copy = tmp_path / "copy"
        for name in tracked:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, copy / name)
        for name in (".venv/pyvenv.cfg", "orchestration/__pycache__/x.pyc", "wheelhouse/a.whl"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(b"")
        assert program_files(copy) == tracked

    def test_a_file_that_was_removed_is_not_looked_for(self, tmp_path: Path) -> None:
        (tmp_path / "orchestrate.py").write_bytes(b"")
        (tmp_path / "gone.py").write_bytes(b"")
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", tmp_path, *command], check=True)
        (tmp_path / "gone.py").unlink()
        (tmp_path / "mine.txt").write_bytes(b"")
        assert program_files(tmp_path) == ["orchestrate.py"]

    def test_in_the_midst_of_a_merge_each_file_is_told_once(self, tmp_path: Path) -> None:
        def git(*command: str) -> int:
            who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
            return subprocess.run(
                ["git", "-C", tmp_path, *who, *command], capture_output=True, check=False
            ).returncode

        def commit(text: str) -> None:
            (tmp_path / "orchestrate.py").write_text(text)
            assert git("add", ".") == git("commit", "-qm", text) == 0

        assert git("init", "-q", "-b", "main") == 0
        commit("first")
        assert git("checkout", "-qb", "other") == 0
        commit("theirs")
        assert git("checkout", "-q", "main") == 0
        commit("ours")
        assert git("merge", "-q", "other") == 1
        assert program_files(tmp_path) == ["orchestrate.py"]


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
