"""A manifest of a stranger's: refused and told, or every reader can read it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.crate.facts import ArchiveFacts
from orchestration.archive.crate.metadata import crate_metadata
from orchestration.archive.layout import CRATE_METADATA
from orchestration.archive.verify.crate_records import crate_faults
from orchestration.archive.verify.members import BagContent
from orchestration.errors import ManifestUnusable
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_shape import check_shape
from tests.orchestration.archive.made_result import make_result

OTHERS = (None, True, -1, 10**400, float("nan"), "x", [], {}, [7], {"x": 7})


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return make_result(tmp_path).result


def read(result: Path, manifest: Any) -> RecordedRun:
    (result / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run = RecordedRun.read(result)
    check_shape(run)
    return run


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, from the outermost on."""
    keys = document if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield (*place, key)
        if isinstance(document[key], (dict, list)):
            yield from places(document[key], (*place, key))


def spoiled(document: Any, place: tuple[Any, ...]) -> Iterator[Any]:
    """The document without what is at a place, and with something else there."""
    for other in (KeyError, *OTHERS):
        copied = copy.deepcopy(document)
        inner = copied
        for key in place[:-1]:
            inner = inner[key]
        if other is KeyError:
            del inner[place[-1]]
        else:
            inner[place[-1]] = other
        yield copied


def test_whatever_is_spoiled_is_refused_or_can_be_read(result: Path):
    document = json.loads((result / "manifest.json").read_bytes())
    text = crate_metadata(read(result, document), [], ArchiveFacts("2026-11-26"))
    content = BagContent(result.parent / "bag")
    (content.folder / CRATE_METADATA).parent.mkdir(parents=True)
    (content.folder / CRATE_METADATA).write_bytes(text)
    payload = {CRATE_METADATA: FileFound(len(text), (b"", b""))}
    assert list(crate_faults(content, payload, read(result, document))) == []
    refused = 0
    for place in places(document):
        for manifest in spoiled(document, place):
            try:
                run = read(result, manifest)
            except ManifestUnusable:
                refused += 1
                continue
            list(crate_faults(content, payload, run))
    assert refused > len(list(places(document)))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        pytest.param(("hardware",), None, "hardware is None", id="kind"),
        pytest.param(("verdict", "state"), "exported", "verdict.state is 'exported'", id="state"),
        pytest.param(("verdict", "worst"), {}, "verdict.worst.max_abs is missing", id="missing"),
        pytest.param(("verdict", "worst", "max_abs"), True, "max_abs is True", id="no-number"),
        pytest.param(("load", "started"), "now", "load.started is no time: 'now'", id="no-time"),
        pytest.param(("extract", "result"), {}, "result.checkpoint is missing", id="stage"),
        pytest.param(("command",), "load", "export", id="other-command"),
        pytest.param(
            ("settings", "load", "tolerance"), float("inf"), "tolerance is inf", id="infinite"
        ),
        pytest.param(("settings", "load", "tolerance"), 10**400, "tolerance is 1000", id="huge"),
        pytest.param(("files", 0, "name"), "./config.json", "'./config.json'", id="not-shortest"),
        pytest.param(("files", 0, "name"), "a//b", "'a//b'", id="two-slashes"),
    ],
)
def test_what_is_wrong_is_told(result: Path, place: tuple[Any, ...], value: Any, words: str):
    document = json.loads((result / "manifest.json").read_bytes())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ManifestUnusable) as caught:
        read(result, document)
    assert words in caught.value.happened
