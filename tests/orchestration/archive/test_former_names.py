"""A stranger's list of former names: nothing is written into the bag, whatever it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.former_names import FormerNames
from orchestration.archive.verify.members import BagContent
from tests.orchestration.archive.bags import make_bag
from tests.orchestration.archive.made_result import contents

PAYLOAD = {"original/a": b"first", "original/b": b"second!", "result/sub/c": b"third, c"}


def bag_with(folder: Path, renamed: Mapping[str, str]) -> BagContent:
    listed = json.dumps(renamed).encode()
    bag = make_bag(folder / "x.bag", {**PAYLOAD, "renamed.json": listed})
    return read_folder(bag, lambda done, total: None)


@pytest.mark.parametrize(
    "renamed",
    [
        pytest.param({"original/b": "original/a"}, id="name-of-another-file"),
        pytest.param({"original/a": "original/b"}, id="name-of-a-later-file"),
        pytest.param({"original/b": "original/a/b"}, id="below-a-file"),
        pytest.param({"original/b": "result/sub"}, id="name-of-a-folder"),
        pytest.param({"original/a": "original/x", "original/b": "original/x"}, id="one-for-two"),
        pytest.param({"original/b": "../../b"}, id="leads-out"),
        pytest.param({"original/b": "/etc/b"}, id="from-the-root"),
    ],
)
def test_a_list_that_gives_a_taken_name_is_refused(tmp_path: Path, renamed):
    content = bag_with(tmp_path, renamed)
    before = contents(content.folder)

    with pytest.raises(ValueError, match="it "):
        FormerNames.read(content).with_former_names(content, tmp_path / "named")

    assert contents(content.folder) == before
    assert not (tmp_path / "named").exists()


def test_a_list_that_is_nested_without_end_is_no_list(tmp_path: Path):
    bag = make_bag(tmp_path / "x.bag", {**PAYLOAD, "renamed.json": b"[" * 200_000})

    with pytest.raises(ValueError, match="nested"):
        FormerNames.read(read_folder(bag, lambda done, total: None))


def test_names_that_change_places_come_back(tmp_path: Path):
    content = bag_with(tmp_path, {"original/a": "original/b", "original/b": "original/%"})

    named = FormerNames.read(content).with_former_names(content, tmp_path / "named")

    assert (named / "data/original/b").read_bytes() == PAYLOAD["original/a"]
    assert (named / "data/original/%").read_bytes() == PAYLOAD["original/b"]
