"""The metadata of an archive: every file, names that become identifiers, equal bytes."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from rocrate.rocrate import ROCrate

from orchestration.archive.crate.facts import FileFact
from orchestration.archive.crate.metadata import crate_metadata
from tests.orchestration.archive.archived_runs import CASES, DOCKER, ODD, references

# RFC 3986: what a relative reference of path segments consists of; no colon in the first.
RELATIVE = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/-]|%[0-9A-F]{2})+")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_file_is_told_with_its_size_and_hash(case, tmp_path):
    entities = case.entities(tmp_path)
    told = {
        unquote(name): (entity["contentSize"], entity["sha256"])
        for name, entity in entities.items()
        if entity["@type"] == "File"
    }
    assert told == {one.path: (str(one.size_bytes), one.sha256) for one in case.files()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_reference_leads_somewhere_and_every_file_has_one_folder(case, tmp_path):
    entities = case.entities(tmp_path)
    terms = "https://w3id.org/ro/terms/workflow-run#"
    found = [
        one["@id"]
        for entity in entities.values()
        for values in entity.values()
        for one in (values if isinstance(values, list) else [values])
        if isinstance(one, dict)
    ]
    unknown = {name for name in found if name not in entities}
    assert {name for name in unknown if not name.startswith(terms)} == {
        "https://w3id.org/ro/crate/1.1"
    }
    data = {name for name in entities if RELATIVE.fullmatch(name) and name != "./"}
    data.remove("ro-crate-metadata.json")
    assert set(references(entities["./"]["hasPart"])) == data
    parts = [
        part
        for name, entity in entities.items()
        if "hasPart" in entity and name != "./"
        for part in references(entity["hasPart"])
    ]
    assert sorted(parts) == sorted(name for name in data if name.rstrip("/").count("/"))


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a#b",
        "100%",
        "a%20b",
        "what?",
        "a:b",
        "it's",
        'say "x"',
        "é",
        "漢字",
        "e\u0301",
        "a\\b",
        "a\nb",
        "[x]",
        "<x>",
        "a+b=c&d",
        " a ",
        "-",
        "~",
        "sub/it's a #1",
        "C:/x",
        "..a",
        ODD,
    ],
)
def test_names_become_identifiers(name, tmp_path):
    path = f"original/{name}"
    file = FileFact(path, 5, "9" * 64)
    entities = replace(DOCKER, names=(path,)).entities(tmp_path)
    (found,) = [one for one, entity in entities.items() if entity["@type"] == "File"]
    assert RELATIVE.fullmatch(found)
    assert unquote(found) == file.path
    assert references(entities["original/"]["hasPart"]) == [found]
    assert entities[found]["name"] == Path(path).name


def test_equal_input_gives_equal_bytes(tmp_path):
    run, files = DOCKER.run(tmp_path), DOCKER.files()
    first = crate_metadata(run, files, DOCKER.facts)
    random.Random(3).shuffle(files)
    assert crate_metadata(run, files, DOCKER.facts) == first
    itself = FileFact("ro-crate-metadata.json", 7, "0" * 64)
    assert crate_metadata(run, [itself, *files], DOCKER.facts) == first


def test_another_process_gives_equal_bytes(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.orchestration.archive import"
        " archived_runs; sys.stdout.buffer.write(archived_runs.DOCKER.metadata(Path(sys.argv[1])))"
    )
    settings = {"PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    answer = subprocess.run(
        [sys.executable, "-c", program, os.fspath(tmp_path)],
        env={**os.environ, **settings},
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        capture_output=True,
    )
    assert answer.stdout == DOCKER.metadata(tmp_path)


def test_the_library_reads_it(tmp_path):
    crate = tmp_path / "crate"
    DOCKER.write(crate)
    read = ROCrate(crate)
    assert read.name == "ckpt 2018, converted from TensorFlow 1.x to PyTorch as unet"
    assert [one["name"] for one in read.root_dataset["mentions"]] == [
        "Export of the TensorFlow checkpoint",
        "Conversion to PyTorch, and its proof",
    ]
    assert {unquote(one.id) for one in read.data_entities if one.type == "File"} == set(
        DOCKER.names
    )
