"""Single faults of a real archive's files: found without running anything, and named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.archives import (
    CODE,
    CONFIG,
    CRATE,
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
    RESULT,
    SIGNATURE,
    VARIABLES,
    faults,
    states,
)
from tests.orchestration.archive.bags import (
    Change,
    add,
    edit_json,
    flip,
    remove,
    rename,
    renew_lists,
    swap,
)

# As a disk or a careless hand spoils a bag: the bag's own lists tell.
PLAIN = [
    *(
        pytest.param(flip(name), {name: "changed"}, id=f"flip-{Path(name).name}")
        for name in (
            *(INDEX, DATA, META, CODE, CRATE),
            *(MANIFEST, MODEL, CONFIG, MAPPING, REPORT, PAGE, VARIABLES, GRAPH, REFERENCE),
            *("README.md", "bag-info.txt", "manifest-sha256.txt", "manifest-sha512.txt"),
        )
    ),
    pytest.param(flip("bagit.txt", 15), {"bagit.txt": "malformed"}, id="flip-bagit.txt"),
    pytest.param(flip("tagmanifest-sha256.txt", 70), {}, id="flip-tagmanifest-sha256.txt"),
    pytest.param(flip("tagmanifest-sha512.txt", 0), {}, id="flip-tagmanifest-sha512.txt"),
    *(
        pytest.param(remove(name), {name: "missing"}, id=f"missing-{Path(name).name}")
        for name in (
            *(INDEX, DATA, META, CODE, CRATE, MANIFEST, MODEL, MAPPING, GRAPH, REFERENCE),
            *("README.md", "manifest-sha256.txt", "tagmanifest-sha512.txt"),
        )
    ),
    *(
        pytest.param(add(name), {name: "extra"}, id=f"extra-{name.replace('/', '-')}")
        for name in (
            *("data/original/model.ckpt.data-00001-of-00002", f"{RESULT}/notes.txt"),
            *(f"{EXPORT}/more.json", "data/more", "more", "data/code/.hidden", "fetch.txt"),
        )
    ),
    pytest.param(rename(MODEL, f"{RESULT}/w.safetensors"), {MODEL: "renamed"}, id="renamed-model"),
    pytest.param(rename(DATA, f"{DATA}.bak"), {DATA: "renamed"}, id="renamed-data"),
    pytest.param(rename(CODE, "data/code/Train.py"), {CODE: "renamed"}, id="renamed-case"),
    pytest.param(swap(MODEL, INDEX), {MODEL: "swapped", INDEX: "swapped"}, id="swapped"),
    pytest.param(swap(GRAPH, CONFIG), {GRAPH: "swapped", CONFIG: "swapped"}, id="swapped-json"),
    pytest.param(swap("README.md", "bag-info.txt"), {"README.md": "swapped"}, id="swapped-tags"),
    pytest.param(add(MODEL, b""), {MODEL: "changed"}, id="emptied-model"),
    pytest.param(add(MAPPING, b"tf_name\n"), {MAPPING: "changed"}, id="cut-mapping"),
]


@pytest.mark.parametrize(("change", "expected"), PLAIN)
def test_fixity_names_a_fault(archive, bag, change: Change, expected):
    change(bag)
    found = archive.verify(bag, fixity_only=True)
    assert states(found)["fixity"] == "failed"
    assert found.exit_code == 76
    named = faults(found, "fixity")
    for path, kind in expected.items():
        assert kind in named[path]
    assert named


OTHER = ["CreateAction"]
LONG_AGO = "2018-01-01T00:00:00+00:00"
# As somebody spoils it who makes the bag's own lists anew: the records tell, and the signature.
LISTED = [
    *(
        pytest.param(flip(name), {name: "contradicted"}, id=f"flip-{Path(name).name}")
        for name in (
            INDEX,
            DATA,
            META,
            MODEL,
            CONFIG,
            MAPPING,
            REPORT,
            PAGE,
            VARIABLES,
            GRAPH,
            CODE,
        )
    ),
    *(
        pytest.param(remove(name), {name: "missing"}, id=f"missing-{Path(name).name}")
        for name in (META, MODEL, REFERENCE, CODE, MANIFEST, CRATE)
    ),
    *(
        pytest.param(add(name), {name: "extra"}, id=f"extra-{Path(name).name}")
        for name in ("data/original/more", f"{RESULT}/notes.txt", "data/code/more.py", "data/more")
    ),
    pytest.param(rename(MODEL, f"{RESULT}/w.safetensors"), {MODEL: "missing"}, id="renamed"),
    pytest.param(swap(MODEL, INDEX), dict.fromkeys((MODEL, INDEX), "contradicted"), id="swapped"),
    pytest.param(flip(MANIFEST), {MANIFEST: "malformed"}, id="manifest-no-json"),
    pytest.param(flip(CRATE), {CRATE: "malformed"}, id="crate-no-json"),
    pytest.param(
        edit_json(MANIFEST, lambda document: document["files"][0].update(sha256="0" * 64)),
        {CONFIG: "contradicted"},
        id="manifest-other-hash",
    ),
    pytest.param(
        edit_json(MANIFEST, lambda document: document["settings"]["load"].update(tolerance=0.9)),
        {CRATE: "contradicted"},
        id="manifest-other-option",
    ),
    pytest.param(
        edit_json(MANIFEST, lambda document: document["extract"].update(started=LONG_AGO)),
        {CRATE: "contradicted"},
        id="manifest-other-time",
    ),
    pytest.param(
        edit_json(CRATE, lambda document: document["@graph"].pop()),
        {CRATE: "contradicted"},
        id="crate-forgets",
    ),
    pytest.param(
        edit_json(
            CRATE, lambda document: document["@graph"].append({"@id": "#more", "@type": OTHER})
        ),
        {CRATE: "contradicted"},
        id="crate-other-action",
    ),
]


@pytest.mark.parametrize(("change", "expected"), LISTED)
def test_records_and_signature_name_a_fault_behind_new_lists(
    archive, bag, change: Change, expected
):
    change(bag)
    renew_lists(bag)
    found = archive.verify(bag, fixity_only=True, key=archive.key)
    assert states(found)["fixity"] == "ok"
    assert states(found)["signature"] == "failed"
    assert found.exit_code == 77
    assert states(found)["records"] == "failed"
    named = faults(found, "records")
    for path, kind in expected.items():
        assert kind in named[path]


@pytest.mark.parametrize("name", ["README.md", "bag-info.txt"])
def test_what_no_record_tells_of_is_told_by_the_signature(archive, bag, name):
    with (bag / name).open("a", encoding="ascii") as stream:
        stream.write("Contact-Name: Somebody Else\n")
    renew_lists(bag)
    found = archive.verify(bag, fixity_only=True)
    assert [link for link, state in states(found).items() if state == "failed"] == ["signature"]


def test_a_signature_by_somebody_else_is_told(archive, bag, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    (bag / SIGNATURE).unlink()
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", other, "-n", "tf1-to-torch-bag"]
    subprocess.run([*command, bag / "tagmanifest-sha512.txt"], check=True)
    assert states(archive.verify(bag, fixity_only=True))["signature"] == "ok"
    found = archive.verify(bag, fixity_only=True, key=archive.key)
    assert (states(found)["signature"], found.exit_code) == ("failed", 77)


def test_a_missing_signature_is_said_and_fails_only_where_one_is_asked_for(archive, bag):
    (bag / SIGNATURE).unlink()
    found = archive.verify(bag, fixity_only=True)
    assert (states(found)["signature"], found.exit_code) == ("not_checked", 0)
    found = archive.verify(bag, fixity_only=True, key=archive.key)
    assert (states(found)["signature"], found.exit_code) == ("failed", 77)
