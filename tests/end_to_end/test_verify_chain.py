"""Single faults that every list and record hides: each is found by the link that it breaks.

The links are made again by the real stages.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.archives import (
    CONFIG,
    DATA,
    EXPORT,
    GRAPH,
    INDEX,
    MANIFEST,
    MAPPING,
    META,
    MODEL,
    PAGE,
    REFERENCE,
    REPORT,
    SIGNATURE,
    VARIABLES,
    faults,
    states,
    texts,
)
from tests.orchestration.archive.bags import (
    Change,
    add,
    edit_json,
    flip,
    renew_records,
    replace,
)


def test_an_untouched_archive_holds(archive, bag):
    found = archive.verify(bag, key=archive.key)
    assert set(states(found).values()) == {"ok"}, found.to_json()
    assert found.exit_code == 0


def test_the_modern_half_is_enough(archive, bag, monkeypatch):
    monkeypatch.setattr(archive.runtime, "has_tensorflow", False)
    found = archive.verify(bag)
    assert [verdict.state for verdict in found.verdicts[2:]] == ["ok"] * 4


def test_by_tensorflow_the_reference_is_compared_too(archive, bag):
    found = archive.verify(bag, reader="tf")
    (export,) = (verdict for verdict in found.verdicts if verdict.link == "export")
    assert (export.state, export.notes) == ("ok", ())
    assert "reference.safetensors byte for byte" in export.details


def notes(found: Any, link: str) -> str:
    return "\n".join(note for one in found.verdicts if one.link == link for note in one.notes)


def test_a_reference_that_was_not_computed_again_is_said_so(archive, bag):
    assert "taken from the bag" in notes(archive.verify(bag), "proof")
    assert "taken from the bag" not in notes(archive.verify(bag, reader="tf"), "proof")


def take(name: str) -> Change:
    """Put the other checkpoint's file in place of the original's."""

    def change(bag: Path) -> None:
        shutil.copyfile(bag.parent / "other" / Path(name).name, bag / name)

    return change


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(bag: Path) -> None:
        for one in changes:
            one(bag)

    return change


def swap_tensors(name: str) -> Change:
    """Let the first two tensors of one shape change their values in a safetensors file."""

    def change(bag: Path) -> None:
        content = bytearray((bag / name).read_bytes())
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        seen: dict[str, list[int]] = {}
        for entry in header.values():
            begin, end = (8 + length + at for at in entry["data_offsets"])
            other = seen.setdefault(str(entry["shape"]), [begin, end])
            if other != [begin, end] and content[other[0] : other[1]] != content[begin:end]:
                first, second = content[other[0] : other[1]], content[begin:end]
                content[other[0] : other[1]], content[begin:end] = second, first
                (bag / name).write_bytes(content)
                return
        raise AssertionError("no two tensors of one shape")

    return change


def manifest(value: Any, *place: str) -> Change:
    """Set a value in manifest.json."""

    def edit(document: Any) -> None:
        for key in place[:-1]:
            document = document[key]
        document[place[-1]] = value

    return edit_json(MANIFEST, edit)


def forget(name: str) -> Change:
    """Let manifest.json no longer list a file of the result."""

    def edit(document: Any) -> None:
        (entry,) = (one for one in document["files"] if one["name"] == name)
        document["files"].remove(entry)

    return edit_json(MANIFEST, edit)


def row(name: str, link: str, path: str, words: str, *changes: Change) -> Any:
    """A row: the first link that breaks, the file, and words that say what is wrong."""
    return pytest.param(all_of(*changes), link, path, words, id=name)


VALUES = "other values in"
STRIDES = b'"strides": [1, 1, 1, 1]'
TRANSFER = ("settings", "load", "transfer")
OTHER_ORIGINAL = (take(INDEX), take(DATA))
# As somebody spoils it who makes every list and record agree, and leaves the signature out: only
# making it again tells.
AGREEING = [
    row("other-original", "export", VARIABLES, VALUES, *OTHER_ORIGINAL),
    row("original-flipped", "export", EXPORT, "CorruptTensor", flip(DATA, 40)),
    row("index-flipped", "export", EXPORT, "Corrupt", flip(INDEX, 20)),
    row("graph-of-the-original-emptied", "export", GRAPH, "", add(META, b"")),
    row("variables-flipped", "export", VARIABLES, VALUES, flip(VARIABLES)),
    row("variables-swapped", "export", VARIABLES, VALUES, swap_tensors(VARIABLES)),
    row("graph-strides", "export", GRAPH, "", replace(GRAPH, STRIDES, b'"strides": [1, 2, 2, 1]')),
    row("graph-layer", "export", GRAPH, "layers:", replace(GRAPH, b'"conv2d"', b'"dense"')),
    row("graph-node", "export", GRAPH, "enc0/conv1", replace(GRAPH, b'"Relu"', b'"Relu6"')),
    row("graph-source", "export", GRAPH, "source:", replace(GRAPH, b"producer", b"producers")),
    row(
        "graph-blank", "export", GRAPH, "version:", replace(GRAPH, b'"version": ', b'"version":  ')
    ),
    row("both-ends", "export", VARIABLES, VALUES, *OTHER_ORIGINAL, flip(MODEL)),
    row("model-flipped", "mapping", MODEL, VALUES, flip(MODEL)),
    row("model-swapped", "mapping", MODEL, VALUES, swap_tensors(MODEL)),
    row("mapping-edited", "mapping", MAPPING, "line", replace(MAPPING, b"HWIO", b"HWOI")),
    row("mapping-line-end", "mapping", MAPPING, "line 1", replace(MAPPING, b"\n", b"\r\n")),
    row("config-edited", "mapping", CONFIG, "line", replace(CONFIG, b'"NCHW"', b'"NHWC"')),
    row("reference-flipped", "proof", MANIFEST, "", flip(REFERENCE, -2)),
    row("report-verdict", "proof", REPORT, "verdict", replace(REPORT, b'"proven"', b'"failed"')),
    row("report-count", "proof", REPORT, "coverage.layers", replace(REPORT, b": 18", b": 19")),
    row(
        "report-number", "proof", REPORT, "line", replace(REPORT, b'"max_abs": 4', b'"max_abs": 3')
    ),
    row("report-tolerance", "proof", REPORT, "tolerance", replace(REPORT, b"0.0001", b"0.00001")),
    row("page-edited", "proof", PAGE, "", replace(PAGE, b"</body>", b"<p>Better</p></body>")),
    row("config-verdict", "proof", CONFIG, "", replace(CONFIG, b'"proven"', b'"unproven"')),
    row("verdict", "proof", MANIFEST, "unproven", manifest("unproven", "verdict", "state")),
    row("tolerance", "proof", REPORT, "tolerance", manifest(0.9, "settings", "load", "tolerance")),
    row("command", "records", MANIFEST, "cannot be used", manifest("load", "command")),
    row(
        "leads-out", "export", MANIFEST, "/etc/", manifest("/etc/passwd", "settings", "load", "map")
    ),
    row("freezes", "mapping", CONFIG, "line", manifest([".*weight"], *TRANSFER, "freeze")),
    row("forgets-a-file", "mapping", MAPPING, "does not list", forget("mapping.csv")),
]


@pytest.mark.parametrize(("change", "link", "path", "words"), AGREEING)
def test_making_it_again_tells_what_all_records_hide(
    archive, bag, change: Change, link: str, path: str, words: str
):
    (bag.parent / "other").symlink_to(archive.other)
    (bag / SIGNATURE).unlink()
    change(bag)
    renew_records(bag)
    found = archive.verify(bag)
    assert states(found)["fixity"] == "ok"
    assert next(one for one, state in states(found).items() if state == "failed") == link
    assert found.exit_code == 78
    assert path in faults(found, link), found.to_json()
    assert words in texts(found)


def test_the_run_repeated_tells_it_too(archive, bag):
    (bag / SIGNATURE).unlink()
    flip(MODEL)(bag)
    renew_records(bag)
    found = archive.verify(bag, rerun=True)
    assert faults(found, "rerun") == {MODEL: ["not reproduced"]}
    # Of several links, the first that breaks gives the exit code.
    assert found.exit_code == 78


def test_the_least_bit_of_the_reference_counts(archive, bag):
    """Far below the tolerance: equal processors give equal numbers, and TensorFlow equal bytes."""
    (bag / SIGNATURE).unlink()
    flip(REFERENCE, -4)(bag)
    renew_records(bag)
    assert faults(archive.verify(bag), "proof") == {REPORT: ["contradicted"]}
    found = archive.verify(bag, reader="tf")
    assert faults(found, "export") == {REFERENCE: ["contradicted"]}
    assert "stage 1 makes it otherwise" in texts(found)


def test_another_processor_is_said_and_numbers_are_compared_within_the_tolerance(archive, bag):
    (bag / SIGNATURE).unlink()
    edit_json(MANIFEST, lambda document: document["hardware"].update(cpu_model="another"))(bag)
    flip(REFERENCE, -4)(bag)
    renew_records(bag)
    found = archive.verify(bag)
    (proof,) = (verdict for verdict in found.verdicts if verdict.link == "proof")
    assert (proof.state, found.exit_code) == ("ok", 0)
    assert "not of the kind that computed then" in proof.notes[0]
