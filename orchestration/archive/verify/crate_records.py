"""What the RO-Crate tells of files and stages, against what lies there and manifest.json.

Read as plain JSON: in ten years the crate is compared by what it says, not by how a library of then
would write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.crate.entities import COMPLETED, FAILED, clean, moment_of
from orchestration.archive.layout import CRATE_METADATA, PAYLOAD
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.verdicts import Fault
from orchestration.recorded_run import RecordedRun
from orchestration.strict_json import decode_json

_MOST_BYTES: Final = 256 << 20
_STAGES: Final = ("extract", "load")
_TIMES: Final = {"startTime": "started", "endTime": "ended"}


def crate_faults(
    content: BagContent, payload: Mapping[str, FileFound], run: RecordedRun | None
) -> Iterator[Fault]:
    """What the crate tells otherwise than it is.

    Args:
        content: where the crate lies.
        payload: what was found.
        run: what the manifest tells; None where it cannot be read.
    """
    found = payload.get(CRATE_METADATA)
    if found is None:
        yield Fault(CRATE_METADATA, "missing", "it is not there")
        return
    try:
        if found.size_bytes > _MOST_BYTES:
            raise ValueError(f"it has {found.size_bytes:,} bytes")
        entities = _entities((content.folder / CRATE_METADATA).read_bytes())
    except ValueError as error:
        yield Fault(CRATE_METADATA, "malformed", f"it is no RO-Crate: {error}")
        return
    yield from _file_faults(entities, payload)
    if run is not None:
        yield from _action_faults(entities, run)


def _entities(text: bytes) -> dict[str, Mapping[str, Any]]:
    """Identifier -> entity. Raises ValueError."""
    document = decode_json(text)
    graph = document.get("@graph") if isinstance(document, dict) else None
    if not isinstance(graph, list):
        raise ValueError("it has no @graph")
    entities: dict[str, Mapping[str, Any]] = {}
    for entity in graph:
        identifier = entity.get("@id") if isinstance(entity, dict) else None
        if not isinstance(identifier, str) or identifier in entities:
            raise ValueError(f"an entity has the identifier {identifier!r:.80}, or two have it")
        entities[identifier] = entity
    return entities


def _file_faults(
    entities: Mapping[str, Mapping[str, Any]], payload: Mapping[str, FileFound]
) -> Iterator[Fault]:
    described = {
        f"{PAYLOAD}/{unquote(identifier)}": entity
        for identifier, entity in entities.items()
        if "File" in _types(entity)
    }
    for path in sorted(payload.keys() - described.keys() - {CRATE_METADATA}):
        yield Fault(path, "extra", "the RO-Crate knows nothing of it")
    for path, entity in sorted(described.items()):
        found = payload.get(path)
        told = (entity.get("contentSize"), entity.get("sha256"))
        if found is None:
            yield Fault(path, "missing", "the RO-Crate tells of it")
        elif told != (str(found.size_bytes), found.hex("sha256")):
            is_now = f"it has {found.size_bytes:,} bytes, SHA-256 {found.hex('sha256')}"
            yield Fault(
                path,
                "contradicted",
                f"the RO-Crate tells {told[0]} bytes, SHA-256 {told[1]}; {is_now}",
            )


def _types(entity: Mapping[str, Any]) -> Sequence[Any]:
    types = entity.get("@type")
    return types if isinstance(types, list) else [types]


def _action_faults(entities: Mapping[str, Mapping[str, Any]], run: RecordedRun) -> Iterator[Fault]:
    """Where the crate tells of a stage otherwise than the manifest does."""
    known = {f"#{stage}" for stage in _STAGES}
    for identifier, entity in sorted(entities.items()):
        is_action = any(str(kind).endswith("Action") for kind in _types(entity))
        if is_action != (identifier in known):
            told = f"{identifier!r:.80} is {'an' if is_action else 'no'} action"
            yield Fault(CRATE_METADATA, "contradicted", f"{told}: manifest.json tells otherwise")
    for stage in _STAGES:
        record, action = run.manifest.get(stage), entities.get(f"#{stage}")
        if (record is None) != (action is None):
            told = (
                "a stage that manifest.json does not tell of" if record is None else "no such stage"
            )
            yield Fault(CRATE_METADATA, "contradicted", f"it tells of {told}: {stage}")
        elif record is not None and action is not None:
            for name, key in _TIMES.items():
                if _moment(action.get(name)) != _moment(record.get(key)):
                    differs = f"{action.get(name)!r:.80}, and manifest.json {record.get(key)!r:.80}"
                    yield Fault(CRATE_METADATA, "contradicted", f"{name} of {stage} is {differs}")
            yield from _status_faults(action, run, stage)
            yield from _option_faults(entities, run, stage)


def _status_faults(action: Mapping[str, Any], run: RecordedRun, stage: str) -> Iterator[Fault]:
    is_fine = stage == "extract" or run.manifest["verdict"]["state"] != "failed"
    status = action.get("actionStatus")
    told = status.get("@id") if isinstance(status, dict) else status
    expected = COMPLETED if is_fine else FAILED
    if told != expected:
        differs = f"{stage} has ended as {told!r:.80}, not {expected}"
        yield Fault(CRATE_METADATA, "contradicted", differs)


def _option_faults(
    entities: Mapping[str, Mapping[str, Any]], run: RecordedRun, stage: str
) -> Iterator[Fault]:
    """Options of a stage that the crate tells otherwise than the manifest."""
    for name, value in sorted(run.manifest["settings"][stage].items()):
        told = entities.get(f"#{stage}-{name}", {}).get("value")
        written = clean(json.dumps(value, ensure_ascii=False, sort_keys=True))
        if told != written:
            differs = f"{told!r:.120}, and manifest.json {written!r:.120}"
            yield Fault(CRATE_METADATA, "contradicted", f"option {name} of {stage} is {differs}")


def _moment(text: Any) -> datetime | None:
    """A time by ISO 8601; None for none."""
    if not isinstance(text, str):
        return None
    try:
        return moment_of(text)
    except ValueError:
        return None
