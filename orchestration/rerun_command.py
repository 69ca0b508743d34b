"""`orchestrate.py rerun`: argv -> a recorded run -> a call, and what came of it as text."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from orchestration import option_types
from orchestration.command_options import (
    device_option,
    force_option,
    package_options,
    runtime_options,
    runtime_settings,
    speech_options,
)
from orchestration.errors import EXIT_OK
from orchestration.printing import printable
from orchestration.settings import RuntimeOptions
from orchestration.summary import shown_path

if TYPE_CHECKING:
    from orchestration.recorded_run import RecordedRun
    from orchestration.rerun import Reproduction

# Options that have another name than the field that they set.
_PARAMETERS = {"name": "runtime", "memory_limit_bytes": "memory_limit"}


@click.command()
@click.argument("recorded", metavar="RESULT", type=option_types.path)
@click.option(
    "--out", type=option_types.path, help="Folder of the new result; default: <name>-rerun."
)
@force_option
@click.option(
    "--checkpoint",
    type=option_types.path,
    metavar="PATH",
    help="Where the checkpoint (of a `load`: the export) lies, if it has moved.",
)
@click.option(
    "--moved",
    multiple=True,
    metavar="ROLE=FOLDER",
    help="Where other inputs lie: data, map, model or requirements, as the manifest names them.",
)
@device_option
@runtime_options
@package_options
@speech_options
@click.pass_context
def rerun(command: click.Context, /, recorded: Path, **given: Any) -> int:
    """Repeat the run that made a result, and compare every byte.

    RESULT is the result's folder or its manifest.json. Options that are not given are those of
    the recorded run, and so are the images, if they are here.

    A record names the code, the images and the interpreters that are run, as a makefile does:
    repeat runs of people whom you trust. `verify` is for all others.
    """
    from orchestration import session
    from orchestration.recorded_run import RecordedRun
    from orchestration.rerun import RerunSettings
    from orchestration.rerun import rerun as repeat
    from orchestration.rerun_runtime import rerun_runtime

    run = RecordedRun.read(recorded)
    moved = _moved(run, given)
    with closing(session.make_display(given["quiet"], given["verbose"])) as display:
        options = rerun_runtime(run, _given_options(command, given), os.environ, display.notify)
        settings = RerunSettings(
            run=run,
            out=given["out"] or Path.cwd() / f"{run.folder.name}-rerun",
            runtime=options,
            moved=moved,
            force=given["force"],
        )
        reproduction = session.run_command(
            lambda context: repeat(settings, context), options, display, time.monotonic()
        )
    if not given["quiet"]:
        click.echo("\n".join(map(printable, reproduction_lines(reproduction))))
    reproduction.check()
    return EXIT_OK


def reproduction_lines(reproduction: Reproduction) -> Iterator[str]:
    """What a repeated run came to: what is equal, what differs, and what may explain it."""
    mark = "NOT REPRODUCED" if reproduction.unequal else "REPRODUCED"
    yield f"{mark}  {shown_path(reproduction.outcome.out)}"
    groups = {
        "equal": reproduction.equal,
        "differs": reproduction.differing,
        "missing": reproduction.missing,
        "not recorded": reproduction.added,
        "not as it was": reproduction.conditions,
    }
    for label, names in groups.items():
        for index, name in enumerate(names):
            yield f"  {'' if index else label:<15}{name}"


def _given_options(command: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Runtime options that stand on the command line: field -> value."""
    options = runtime_settings(given)
    return {
        one.name: getattr(options, one.name)
        for one in fields(RuntimeOptions)
        if command.get_parameter_source(_PARAMETERS.get(one.name, one.name))
        is ParameterSource.COMMANDLINE
    }


def _moved(run: RecordedRun, given: dict[str, Any]) -> dict[str, Path]:
    """Role -> folder of what has moved.

    Raises:
        click.BadParameter: something is no role, or no folder.
    """
    from orchestration.recorded_run import Role

    moved: dict[str, Path] = {}
    for text in given["moved"]:
        role, equals, folder = text.partition("=")
        if not equals or role not in get_args(Role) or not os.path.isdir(folder):
            raise click.BadParameter(
                f"{text!r} is not ROLE=FOLDER with one of {', '.join(get_args(Role))} and a folder"
                " that is there.",
                param_hint="--moved",
            )
        moved[role] = Path(os.path.realpath(folder))
    if given["checkpoint"] is not None:
        path = Path(os.path.realpath(given["checkpoint"]))
        role = "export" if run.command == "load" else "checkpoint"
        moved[role] = path if path.is_dir() else path.parent
    return moved
