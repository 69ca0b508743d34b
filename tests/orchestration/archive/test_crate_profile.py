"""Metadata passes the RO-Crate validator for the Process Run Crate profile, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.orchestration.archive.archived_runs import CASES, DOCKER, ODD
from tests.orchestration.archive.crate_validator import crate_issues
from tests.orchestration.archive.made_result import make_result

# What is recommended and not done, with the reason.
LEFT_OUT = {
    "Application url": "neither the program nor old code has a place on the web",
    "SoftwareApplication id": "the same; a local one is allowed",
    "version": "of old code that no repository has, none is known",
    "version or softwareVersion": "an environment of the user's has no lock that could be told",
    "Root Data Entity: `publisher` property": "nobody has published it yet",
    "Root Data Entity: `author` property": "where no creator was named",
    "CreativeWork Author: RECOMMENDED affiliation property": "is not asked for",
    "CreativeWork Author: RECOMMENDED Contextual Entity linked for the organizational"
    " `affiliation` property": "is not asked for",
}
# What the validator must find in the crate that is broken, or its silence would mean nothing.
BROKEN = "broken"
# Made by the command.
BAG = "bag"
FAULTS = [
    "Action instrument",
    "Data Entity: REQUIRED resource availability",
    "Root Data Entity: `license` property",
]


def break_crate(crate: Path) -> None:
    """Take away an action's instrument, the licence and a file."""
    path = crate / "ro-crate-metadata.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    entities = {one["@id"]: one for one in content["@graph"]}
    del entities["#load"]["instrument"], entities["./"]["license"]
    path.write_text(json.dumps(content), encoding="utf-8")
    (crate / "original/model.ckpt-1.index").unlink()


@pytest.fixture(scope="module")
def issues(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """What is wrong with each crate: [severity, rule, entity]."""
    folder = tmp_path_factory.mktemp("crates")
    for name, case in CASES.items():
        case.write(folder / name)
    DOCKER.write(folder / BROKEN)
    break_crate(folder / BROKEN)
    names = [*CASES, BROKEN]
    crates = [folder / name for name in names]
    found = crate_issues([*crates, archived(folder / "made")], folder)
    return dict(zip([*names, BAG], found, strict=True))


def archived(folder: Path) -> Path:
    """The crate in a bag that the command has made, odd names in it."""
    made = make_result(folder, {ODD: b"index", "100%": b"", "dir/ä\n": b"data"})
    code = folder / "old code"
    code.mkdir()
    (code / f"{ODD}.py").write_text("pass\n")
    legal = folder / "licence.txt"
    legal.write_text("Do what you like.\n")
    options = ["--without-program", "--with-code", code, "--license", legal, "--citation", legal]
    run = made.archive("x.bag", *options, "--creator", "Ada Lovelace <0000-0002-1825-0097>")
    assert run.returncode == 0, run.stderr
    return folder / "x.bag" / "data"


@pytest.mark.parametrize("name", [*CASES, BAG])
def test_nothing_that_is_required_is_missing(name, issues):
    assert [one for one in issues[name] if one[0] == "REQUIRED"] == []


@pytest.mark.parametrize("name", [*CASES, BAG])
def test_what_is_recommended_is_done_or_left_out_for_a_reason(name, issues):
    assert {rule for _, rule, _ in issues[name]} <= set(LEFT_OUT)


def test_every_reason_is_needed(issues):
    assert {rule for name in CASES for _, rule, _ in issues[name]} == set(LEFT_OUT)


def test_the_validator_finds_what_is_wrong(issues):
    assert sorted({rule for level, rule, _ in issues[BROKEN] if level == "REQUIRED"}) == FAULTS
