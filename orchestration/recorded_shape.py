"""What a manifest has to tell besides what repeating its run needs.

A stranger may have written it: whoever reads on finds every part there, and of its kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, Final

from orchestration.manifest import MANIFEST_FILE
from orchestration.manifest_errors import unusable
from orchestration.recorded_run import RecordedRun

Kinds = tuple[type, ...]

_STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "convert": ("extract", "load"),
    "extract": ("extract",),
    "load": ("load",),
}
_STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "convert": ("proven", "failed", "unproven"),
    "extract": ("exported",),
    "load": ("proven", "failed", "unproven"),
}
_NUMBER: Final[Kinds] = (float, int, NoneType)
_EVERYWHERE: Final[Mapping[str, Kinds]] = {
    "created": (str,),
    "hardware": (dict,),
    "host": (dict,),
    "program": (dict,),
    "program.source_sha256": (str,),
    "program.version": (str,),
    "runtime": (str,),
    "seeds": (dict,),
    "verdict": (dict,),
    "verdict.state": (str,),
    "verdict.tolerance": _NUMBER,
    "verdict.worst": (dict, NoneType),
}
_OF_WORST: Final[Mapping[str, Kinds]] = {"max_abs": _NUMBER, "max_rel": _NUMBER, "tensor": (str,)}
_OF_STAGE: Final[Mapping[str, Kinds]] = {
    "argv": (list, dict),
    "ended": (str,),
    "environment": (dict, NoneType),
    "result": (dict,),
    "started": (str,),
    "versions": (dict,),
}
_OF_ENVIRONMENT: Final[Mapping[str, Kinds]] = {
    "lock": (str, NoneType),
    "lock_sha256": (str, NoneType),
    "packages": (dict,),
}
_OF_ONE_STAGE: Final[Mapping[str, Mapping[str, Kinds]]] = {
    "extract": {"reader": (str,), "result.checkpoint": (dict,)},
    "load": {"result.parity": (dict, NoneType), "result.verdict": (str,)},
}


def check_shape(run: RecordedRun) -> None:
    """Pass if the manifest of a run has every part that is told of it.

    Raises:
        ManifestUnusable: it lacks one, or has one of another kind; the first is told.
    """
    for told in _problems(run):
        raise unusable(run.folder / MANIFEST_FILE, told)


def _problems(run: RecordedRun) -> Iterator[str]:
    manifest = run.manifest
    yield from _wrong(manifest, _EVERYWHERE, "")
    state = manifest["verdict"]["state"]
    if state not in _STATES[run.command]:
        yield f"verdict.state is {state!r:.80}, expected one of {', '.join(_STATES[run.command])}"
    if manifest["verdict"]["worst"] is not None:
        yield from _wrong(manifest["verdict"]["worst"], _OF_WORST, "verdict.worst.")
        yield from _wrong(manifest, {"verdict.tolerance": (float, int)}, "")
    yield from _wrong_times(manifest, ("created",), "")
    for stage, own in _OF_ONE_STAGE.items():
        if (stage in manifest) != (stage in _STAGES[run.command]):
            yield f"it {'tells' if stage in manifest else 'does not tell'} of {stage}"
        if stage in manifest:
            yield from _wrong(manifest, {stage: (dict,)}, "")
            yield from _wrong_stage(manifest[stage], own, f"{stage}.")


def _wrong_stage(record: Mapping[str, Any], own: Mapping[str, Kinds], where: str) -> Iterator[str]:
    yield from _wrong(record, {**_OF_STAGE, **own}, where)
    yield from _wrong_times(record, ("started", "ended"), where)
    if record["environment"] is not None:
        yield from _wrong(record["environment"], _OF_ENVIRONMENT, f"{where}environment.")


def _wrong(document: Mapping[str, Any], kinds: Mapping[str, Kinds], where: str) -> Iterator[str]:
    """Parts that are missing or of another kind; `kinds`: names with dots between -> kinds."""
    for name, kind in sorted(kinds.items()):
        value: Any = document
        for key in name.split("."):
            if not isinstance(value, dict) or key not in value:
                yield f"{where}{name} is missing"
                break
            value = value[key]
        else:
            # True is an int to Python.
            if not isinstance(value, kind) or isinstance(value, bool):
                yield f"{where}{name} is {value!r:.80}"


def _wrong_times(document: Mapping[str, Any], names: tuple[str, ...], where: str) -> Iterator[str]:
    for name in names:
        try:
            datetime.fromisoformat(document[name])
        except ValueError:
            yield f"{where}{name} is no time: {document[name]!r:.80}"
