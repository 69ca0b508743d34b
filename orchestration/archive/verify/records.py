"""The third link: what manifest.json and the RO-Crate tell is what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.layout import (
    CRATE_METADATA,
    GIVEN,
    IMAGES,
    ORIGINAL,
    RENAMED,
    RESULT,
    input_folder,
)
from orchestration.archive.verify.bag_names import MOST_TAG_FILE_BYTES, is_payload
from orchestration.archive.verify.crate_records import crate_faults
from orchestration.archive.verify.former_names import FormerNames
from orchestration.archive.verify.image_records import image_faults
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.verdicts import Fault, Verdict, judged
from orchestration.errors import ManifestUnusable
from orchestration.manifest import MANIFEST_FILE
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_shape import check_shape

MANIFEST: Final = f"{RESULT}/{MANIFEST_FILE}"


def is_record(path: str) -> bool:
    """Whether this link, or one before it, looks into a file: a tag file, a record, an image."""
    is_named = path in (MANIFEST, CRATE_METADATA, RENAMED)
    return is_named or not is_payload(path) or path.startswith(f"{IMAGES}/")


def check_records(content: BagContent) -> tuple[Verdict, RecordedRun | None]:
    """Compare the records with what was found.

    Returns:
        The verdict, and the run that the manifest tells of; None where it cannot be read.
    """
    payload = {path: found for path, found in content.files.items() if is_payload(path)}
    if not content.is_plain:
        fault = Fault(MANIFEST, "unreadable", "the bag holds what no bag may hold: it is not read")
        return judged("records", [fault], "not read"), None
    notes: list[str] = []
    faults: list[Fault] = []
    run = _run(content, faults)
    if run is not None:
        faults += _manifest_faults(run, _names(content, faults), payload, notes)
        faults += image_faults(content, run)
    faults += crate_faults(content, payload, run)
    images = sum(path.startswith(f"{IMAGES}/") for path in payload)
    more = f", {images} of them images" if images else ""
    details = f"{MANIFEST_FILE} and the RO-Crate with {len(payload):,} files{more}"
    return judged("records", faults, details, notes), run


def _run(content: BagContent, faults: list[Fault]) -> RecordedRun | None:
    found = content.files.get(MANIFEST)
    if found is None or found.size_bytes > MOST_TAG_FILE_BYTES:
        told = "it is not there" if found is None else f"it has {found.size_bytes:,} bytes"
        faults.append(Fault(MANIFEST, "missing" if found is None else "malformed", told))
        return None
    try:
        run = RecordedRun.read(content.folder / RESULT)
        check_shape(run)
        return run
    except ManifestUnusable as error:
        faults.append(Fault(MANIFEST, "malformed", error.happened))
        return None


def _names(content: BagContent, faults: list[Fault]) -> FormerNames:
    try:
        return FormerNames.read(content)
    except ValueError as error:
        faults.append(Fault(RENAMED, "malformed", f"it is no list of names: {error}"))
        return FormerNames({})


def _manifest_faults(
    run: RecordedRun, names: FormerNames, payload: Mapping[str, FileFound], notes: list[str]
) -> Iterator[Fault]:
    """What the manifest tells otherwise than it is: of the result, and of what was read."""
    made = {names.path(f"{RESULT}/{entry['name']}"): entry for entry in run.files}
    yield from _disagreements(made, payload, "of the result")
    read = {names.path(path): entry for path, entry in _inputs(run)}
    yield from _disagreements(read, payload, "that the run has read")
    known = {MANIFEST, *made, *read}
    for path in sorted(payload.keys() - known):
        if path.startswith((f"{ORIGINAL}/", f"{GIVEN}/")):
            yield Fault(path, "extra", f"{MANIFEST_FILE} knows nothing of it")
        elif path.startswith(f"{RESULT}/"):
            # Who archives a result may have put notes of their own into it.
            notes.append(f"{path} was not made by the run")


def _inputs(run: RecordedRun) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each file that the run has read, with its path in the bag."""
    for recorded in run.inputs:
        folder = input_folder(recorded.role)
        for entry in recorded.files:
            yield f"{folder}/{entry['name']}", entry


def _disagreements(
    described: Mapping[str, Mapping[str, Any]], payload: Mapping[str, FileFound], which: str
) -> Iterator[Fault]:
    for path, entry in sorted(described.items()):
        found = payload.get(path)
        if found is None:
            yield Fault(path, "missing", f"{MANIFEST_FILE} tells of this file {which}")
        elif (found.size_bytes, found.hex("sha256")) != (entry["size_bytes"], entry["sha256"]):
            told = f"{entry['size_bytes']:,} bytes, SHA-256 {entry['sha256']}"
            is_now = f"it has {found.size_bytes:,} bytes, SHA-256 {found.hex('sha256')}"
            yield Fault(path, "contradicted", f"{MANIFEST_FILE} tells {told}; {is_now}")
