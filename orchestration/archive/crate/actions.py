"""What ran, on what and with what outcome, as entities of an archive's metadata."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import quote

from orchestration.archive.crate.entities import (
    COMPLETED,
    FAILED,
    add_entity,
    clean,
    moment_of,
    one_or_more,
)
from orchestration.archive.crate.files import GIVEN, ORIGINAL, RESULT, is_below
from orchestration.archive.crate.software import add_image, add_program, add_stage_program
from orchestration.publishing import EXPORT_FOLDER
from orchestration.recorded_run import RecordedRun
from orchestration.runtimes.base import Stage

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

_NAMES: Final[Mapping[Stage, str]] = {
    "extract": "Export of the TensorFlow checkpoint",
    "load": "Conversion to PyTorch, and its proof",
}
# What each stage reads besides the checkpoint, or the export.
_ROLES: Final[Mapping[Stage, tuple[str, ...]]] = {
    "extract": ("data",),
    "load": ("export", "map", "model", "requirements"),
}


def add_actions(crate: ROCrate, run: RecordedRun, paths: Sequence[str]) -> None:
    """Add one action a stage, and name them in the root entity.

    Args:
        crate: what they are added to; it has the files already.
        run: what was run.
        paths: all files, below `data/`, sorted.
    """
    program = add_program(crate, run)
    agent = _add_agent(crate, run)
    actions = []
    for stage in get_args(Stage):
        if stage in run.manifest:
            instrument = add_stage_program(crate, run, stage, program)
            actions.append(_add_action(crate, run, stage, paths, instrument, agent))
    crate.root_dataset["mentions"] = one_or_more(actions)


def _add_action(
    crate: ROCrate,
    run: RecordedRun,
    stage: Stage,
    paths: Sequence[str],
    instrument: Entity,
    agent: Entity,
) -> Entity:
    record = run.manifest[stage]
    image = record["image"]
    made = [crate.get(quote(path)) for path in _made_by(run, stage, paths)]
    return add_entity(
        crate,
        f"#{stage}",
        {
            "@type": "CreateAction",
            "name": _NAMES[stage],
            "description": _description(record),
            "instrument": instrument,
            "agent": agent,
            "object": _read_by(crate, stage) + _add_options(crate, run, stage),
            "result": one_or_more(made),
            "environment": _add_variable(crate, run),
            "containerImage": image and add_image(crate, run, image["stage"]),
            "startTime": _time(record["started"]),
            "endTime": _time(record["ended"]),
            **_status(run, stage),
        },
    )


def _time(text: str) -> str:
    """A time as the profile wants it: to the second, with its distance from UTC."""
    return moment_of(text).isoformat(timespec="seconds")


def _add_agent(crate: ROCrate, run: RecordedRun) -> Entity:
    """Who started the run. Its record tells a number on a machine, which is no name."""
    host = run.manifest["host"]
    return add_entity(
        crate,
        "#operator",
        {
            "@type": "Person",
            "name": clean(f"user {host['user_id']} of the machine {host['name']}"),
            "description": "Who started the run; its record knows no other name.",
        },
    )


def _add_options(crate: ROCrate, run: RecordedRun, stage: Stage) -> list[Entity]:
    """Options of a stage after defaults, as JSON values."""
    options = run.manifest["settings"][stage]
    return [
        add_entity(
            crate,
            f"#{stage}-{name}",
            {
                "@type": "PropertyValue",
                "name": name,
                "value": clean(json.dumps(options[name], ensure_ascii=False, sort_keys=True)),
            },
        )
        for name in sorted(options)
    ]


def _read_by(crate: ROCrate, stage: Stage) -> list[Entity]:
    """Folders that a stage has read, as far as the archive has them."""
    own = (ORIGINAL,) if stage == "extract" else (f"{RESULT}/{EXPORT_FOLDER}",)
    folders = [*own, *(f"{GIVEN}/{role}" for role in _ROLES[stage])]
    found = (crate.get(f"{quote(folder)}/") for folder in folders)
    return [folder for folder in found if folder is not None]


def _made_by(run: RecordedRun, stage: Stage, paths: Sequence[str]) -> list[str]:
    """Files that a stage has made: of a result, the export is stage 1's, and the rest stage 2's."""
    export = RESULT if run.command == "extract" else f"{RESULT}/{EXPORT_FOLDER}"
    result = [path for path in paths if is_below(path, RESULT)]
    return [path for path in result if is_below(path, export) == (stage == "extract")]


def _status(run: RecordedRun, stage: Stage) -> dict[str, Any]:
    """How a stage ended. One whose proof failed has a result, and has failed all the same."""
    verdict = run.manifest["verdict"]
    if stage == "extract" or verdict["state"] != "failed":
        return {"actionStatus": COMPLETED}
    worst = verdict["worst"] or {}
    told = [f"{name} {worst[name]}" for name in sorted(worst)]
    told += [f"{name} {verdict[name]}" for name in ("tolerance", "exit_code")]
    reason = run.manifest[stage]["result"].get("reason")
    return {
        "actionStatus": FAILED,
        "error": clean(f"The models do not compute the same: {reason}. {', '.join(told)}"),
    }


def _description(record: Mapping[str, Any]) -> str:
    """How a stage was started: a command line, or what the engine was sent."""
    argv = record["argv"]
    text = shlex.join(argv) if isinstance(argv, list) else json.dumps(argv, sort_keys=True)
    reused = record.get("reused_from")
    return clean(text if reused is None else f"By an earlier run, whose export was kept: {text}")


def _add_variable(crate: ROCrate, run: RecordedRun) -> Entity:
    """The variable of a stage's environment that results could depend on."""
    return add_entity(
        crate,
        "#python-hash-seed",
        {
            "@type": "PropertyValue",
            "name": "PYTHONHASHSEED",
            "value": str(run.manifest["seeds"]["python_hash"]),
        },
    )
