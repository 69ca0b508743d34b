"""Which outputs may be made, and what is never replaced, not even with --force."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.errors import OrchestrationError, OutputNotWritable, ResultExists
from orchestration.manifest import write_manifest
from orchestration.previous_result import check_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("theirs")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("theirs")
    (tmp_path / "result" / "export").mkdir(parents=True)
    parts = {"request": {}, "verdict": {"exit_code": 0}, "inputs": [], "files": []}
    write_manifest(tmp_path / "result", parts)
    (tmp_path / "old").mkdir()
    write_manifest(tmp_path / "old", {"version": 1, "request": {}, "input": {}, "files": []})
    (tmp_path / "link").symlink_to("result")
    return tmp_path


@pytest.mark.parametrize("force", [False, True], ids=["unforced", "forced"])
@pytest.mark.parametrize(
    ("out", "made"),
    [("new", "new"), ("a/b/new", "a/b/new"), ("empty", "empty"), ("link", "result")],
)
def test_may_be_made(folder: Path, out: str, made: str, force: bool) -> None:
    assert check_out(folder / out, force, folder / "elsewhere") == folder / made


@pytest.mark.parametrize("force", [False, True], ids=["unforced", "forced"])
@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        pytest.param("file", ResultExists, "is no folder", id="file"),
        pytest.param("notes", ResultExists, "no result of this program", id="folder-of-others"),
        pytest.param("file/new", OutputNotWritable, "it is no folder", id="below-a-file"),
    ],
)
def test_is_refused(
    folder: Path, out: str, error: type[OrchestrationError], words: str, force: bool
) -> None:
    with pytest.raises(error, match=words) as caught:
        check_out(folder / out, force, folder / "elsewhere")
    assert "--force" not in caught.value.remedy
    assert (folder / "file").read_text() == "theirs"


def test_a_result_of_an_older_version_is_replaced_if_asked(folder: Path) -> None:
    with pytest.raises(ResultExists, match="An older version of this program made it") as caught:
        check_out(folder / "old", False, folder / "elsewhere")
    assert "--force" in caught.value.remedy
    assert check_out(folder / "old", True, folder / "elsewhere") == folder / "old"


@pytest.mark.parametrize("input_folder", ["result", "result/export"])
def test_a_result_never_replaces_its_own_input(folder: Path, input_folder: str) -> None:
    with pytest.raises(ResultExists, match="holds the input"):
        check_out(folder / "result", True, folder / input_folder)
