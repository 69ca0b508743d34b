"""What the metadata of an archive tells, by its values."""

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

from orchestration.archive.crate import ArchiveFacts, Creator, FileFact, crate_metadata
from orchestration.archive.crate_facts import parse_doi
from tests.orchestration.archive.archived_runs import (
    CASES,
    DOCKER,
    EXPORT,
    LOCAL,
    ODD,
    SIF,
)

# RFC 3986: what a relative reference of path segments consists of; no colon in the first.
RELATIVE = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/-]|%[0-9A-F]{2})+")


def references(value):
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


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


def test_what_is_told_by_whoever_archives(tmp_path):
    entities = DOCKER.entities(tmp_path)
    root = entities["./"]
    ada, bo = "https://orcid.org/0000-0002-1825-0097", "mailto:bo@example.org"
    assert references(root["author"]) == references(root["creator"]) == [ada, bo]
    assert entities[ada] == {"@id": ada, "@type": "Person", "name": "Ada Lovelace"}
    assert entities[bo]["email"] == "bo@example.org"
    assert root["citation"] == {"@id": "legal/citation/CITATION.cff"}
    assert root["identifier"] == "https://doi.org/10.5281/zenodo.1234567"
    assert root["datePublished"] == "2026-11-26T08:00:00+00:00"
    assert root["description"].endswith("Verdict of the proof: proven.")
    assert entities["original/"]["alternateName"] == "ckpt 2018/"
    assert entities["original/"]["isBasedOn"] == {"@id": "code/"}
    assert entities["given/data/"]["alternateName"] == "shards/"
    assert entities["code/"]["version"] == "5d41402abc4b2a76b9719d911017c592ae0a1b2c"
    former = {unquote(name): one.get("alternateName") for name, one in entities.items()}
    assert former[f"original/{ODD}.data-00000-of-00001"] == "original/�%.data-00000-of-00001"
    assert former["original/model.ckpt-1.index"] is None


@pytest.mark.parametrize(
    ("license", "identifier", "name"),
    [
        (None, "#no-license", "No licence was stated"),
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0", "CC-BY-4.0"),
        ("GPL-2.0+", "https://spdx.org/licenses/GPL-2.0+", "GPL-2.0+"),
        ("MIT OR Apache-2.0", "#license", "MIT OR Apache-2.0"),
        ("https://lab.example/terms", "https://lab.example/terms", "https://lab.example/terms"),
        ("http://x/a b?c=1%20", "http://x/a%20b?c=1%20", "http://x/a b?c=1%20"),
        ("legal/license/LICENSE", "legal/license/LICENSE", "LICENSE"),
    ],
)
def test_license(license, identifier, name, tmp_path):
    case = replace(DOCKER, facts=ArchiveFacts("2026-11-26", license))
    entities = case.entities(tmp_path)
    assert entities["./"]["license"] == {"@id": identifier}
    assert entities[identifier]["name"] == name


def test_a_run_in_containers(tmp_path):
    entities = DOCKER.entities(tmp_path)
    extract, load = entities["#extract"], entities["#load"]
    assert references(entities["./"]["mentions"]) == ["#extract", "#load"]
    assert extract["description"] == '{"command": ["-m", "stage_extract"], "image": "x"}'
    assert load["description"] == "podman run --name 'a b'"
    assert (extract["startTime"], extract["endTime"]) == (
        "2026-11-26T00:52:31+00:00",
        "2026-11-26T00:52:36+00:00",
    )
    assert references(extract["object"])[:2] == ["original/", "given/data/"]
    assert references(load["object"])[:2] == ["result/export/", "given/map/"]
    assert references(extract["result"]) == [
        "result/export/graph.json",
        "result/export/variables.safetensors",
    ]
    assert references(load["result"]) == [
        "result/config.json",
        "result/manifest.json",
        "result/mapping.csv",
        "result/model.safetensors",
    ]
    assert entities["#extract-seed"]["value"] == "7"
    assert entities["#load-model"]["value"] == '"unet"'
    assert {"@id": "#load-tolerance"} in load["object"]
    assert entities["#python-hash-seed"]["name"] == "PYTHONHASHSEED"
    assert "error" not in load
    assert load["actionStatus"] == "http://schema.org/CompletedActionStatus"


def test_images(tmp_path):
    entities = DOCKER.entities(tmp_path)
    assert entities["#extract"]["containerImage"] == {"@id": "#image-extract"}
    assert entities["#image-extract"] == {
        "@id": "#image-extract",
        "@type": "ContainerImage",
        "additionalType": {"@id": "https://w3id.org/ro/terms/workflow-run#DockerImage"},
        "registry": "localhost",
        "name": "tf1-to-torch/extract",
        "tag": "0a",
        "sha256": "a" * 64,
        "isBasedOn": {"@id": "#base-image-extract"},
        "associatedMedia": {"@id": "images/extract.oci.tar"},
    }
    base = entities["#base-image-extract"]
    assert (base["registry"], base["name"], base["tag"], base["sha256"]) == (
        "docker.io",
        "python",
        "3.7-slim-bookworm",
        "c" * 64,
    )
    own = entities["#image-load"]
    assert (own["registry"], own["name"], own["tag"]) == ("quay.io:443", "lab/load", "1.2")


def test_a_sif_of_the_other_stage(tmp_path):
    entities = SIF.entities(tmp_path)
    assert entities["#extract"]["containerImage"] == {"@id": "#image-load"}
    found = entities["#image-load"]
    assert found["additionalType"]["@id"].endswith("#SIFImage")
    assert (found["name"], found["sha256"]) == ("load 1.img", "d" * 64)
    assert found["associatedMedia"] == {"@id": "images/load.sif"}
    assert references(entities["#extract"]["result"]) == [
        "result/graph.json",
        "result/manifest.json",
        "result/variables.safetensors",
    ]
    assert entities["./"]["mentions"] == {"@id": "#extract"}
    assert entities["./"]["name"] == "ckpt 2018, exported from TensorFlow 1.x"


def test_an_image_of_both_stages_is_there_once(tmp_path):
    manifest = {**DOCKER.manifest}
    one_image = {**manifest["extract"]["image"], "stage": "load"}
    manifest["load"] = {**manifest["load"], "image": one_image}
    names = [name for name in DOCKER.names if name != "images/load.oci.tar"]
    entities = replace(DOCKER, manifest=manifest, names=names).entities(tmp_path)
    assert entities["#image-load"]["associatedMedia"] == {"@id": "images/extract.oci.tar"}


def test_a_failed_proof(tmp_path):
    entities = LOCAL.entities(tmp_path)
    assert entities["#extract"]["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in entities["#extract"]
    load = entities["#load"]
    assert load["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert load["error"] == (
        "The models do not compute the same: 1 output compared."
        " max_abs 0.5, max_rel 0.25, tensor logits:0, tolerance 0.0001, exit_code 53"
    )
    assert entities["#extract"]["description"].startswith("By an earlier run")


def test_a_run_in_environments(tmp_path):
    entities = LOCAL.entities(tmp_path)
    assert "containerImage" not in entities["#load"]
    assert entities["#load"]["instrument"] == {"@id": "#stage_load"}
    stage = entities["#stage_load"]
    assert stage["softwareVersion"] == "0.1.0"
    assert references(stage["softwareRequirements"]) == [
        "https://www.python.org/#3.11.7",
        "https://pypi.org/project/torch/2.13.0/#cpu",
        "#environment-load",
    ]
    torch = entities["https://pypi.org/project/torch/2.13.0/#cpu"]
    assert (torch["name"], torch["softwareVersion"]) == ("torch", "2.13.0+cpu")
    environment = entities["#environment-load"]
    assert environment["name"] == "Python environment of requirements-load-cpu.txt"
    assert environment["softwareVersion"] == f"sha256:{'e' * 64}"
    # The lock among the files has another hash.
    assert "url" not in environment
    names = references(environment["softwareRequirements"])
    assert "https://pypi.org/project/torch/2.13.0/#cpu" in names


def test_the_lock_of_an_environment_is_found_by_its_hash(tmp_path):
    name = "program/docker/requirements-load-cpu.txt"
    (lock,) = [one for one in LOCAL.files() if one.path == name]
    manifest = {**LOCAL.manifest}
    used = {**manifest["load"]["environment"], "lock_sha256": lock.sha256}
    manifest["load"] = {**manifest["load"], "environment": used}
    entities = replace(LOCAL, manifest=manifest).entities(tmp_path)
    assert entities["#environment-load"]["url"] == {"@id": name}


def test_stage_2_alone_in_an_environment_of_the_user(tmp_path):
    entities = EXPORT.entities(tmp_path)
    assert references(entities["#load"]["object"])[:2] == ["result/export/", "given/model/"]
    assert entities["#environment-load"]["name"] == "Python environment of the user"
    assert entities["./"]["name"].startswith("export, converted")


def test_the_program_and_its_source(tmp_path):
    entities = DOCKER.entities(tmp_path)
    program = entities["#tf1-to-torch"]
    assert (program["softwareVersion"], program["url"]) == ("0.1.0", {"@id": "program/"})
    source = entities["program/"]
    assert source["@type"] == ["Dataset", "SoftwareSourceCode"]
    assert (source["version"], source["targetProduct"]) == ("0.1.0", {"@id": "#tf1-to-torch"})
    assert entities["code/"]["@type"] == ["Dataset", "SoftwareSourceCode"]
    assert "url" not in EXPORT.entities(tmp_path)["#tf1-to-torch"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada Lovelace", Creator("Ada Lovelace")),
        (" Ada  <ada@example.org> ", Creator("Ada", mail="ada@example.org")),
        ("Ada<0000-0002-1825-0097>", Creator("Ada", orcid="0000-0002-1825-0097")),
        (
            "Zoë <https://orcid.org/0000-0002-1694-233x>",
            Creator("Zoë", orcid="0000-0002-1694-233X"),
        ),
    ],
)
def test_creators(text, expected):
    assert Creator.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not of the form"),
        ("<ada@example.org>", "not of the form"),
        ("Ada <>", "neither an ORCID nor a mail address"),
        ("Ada <ada>", "neither an ORCID nor a mail address"),
        ("Ada <0000-0002-1825-0098>", "last digit does not fit"),
        ("Ada <a@b.c> and more", "not of the form"),
    ],
)
def test_creators_that_are_none(text, why):
    with pytest.raises(ValueError, match=why):
        Creator.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "10.5281/zenodo.1234567",
        "doi:10.5281/zenodo.1234567",
        "https://doi.org/10.5281/zenodo.1234567",
        " http://dx.doi.org/10.5281/zenodo.1234567",
    ],
)
def test_dois(text):
    assert parse_doi(text) == "10.5281/zenodo.1234567"


@pytest.mark.parametrize(
    "text", ["", "zenodo.1234567", "10.5281/", "https://example.org/10.5281/x"]
)
def test_dois_that_are_none(text):
    with pytest.raises(ValueError, match="is no DOI"):
        parse_doi(text)
