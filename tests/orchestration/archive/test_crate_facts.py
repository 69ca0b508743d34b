"""What whoever makes an archive tells, as it is read and as the metadata has it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import pytest

from orchestration.archive.crate.facts import ArchiveFacts, Creator, parse_doi
from tests.orchestration.archive.archived_runs import DOCKER, ODD, references


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
