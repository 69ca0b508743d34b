"""Where a bag has what a run needs, and that nothing outside of the bag is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestration.archive.layout import RESULT, input_folder
from orchestration.own_code import model_file
from orchestration.publishing import EXPORT_FOLDER
from orchestration.recorded_run import RecordedRun, RunSettings
from orchestration.settings import ExtractSettings, LoadSettings, RuntimeOptions


class OutsideOfTheBag(Exception):
    """A recorded option names a file that the bag does not have."""


def settings_in_bag(
    run: RecordedRun, folder: Path, runtime: RuntimeOptions, out: Path
) -> RunSettings:
    """What the run was asked for, with every path leading into the bag.

    Args:
        run: the recorded run.
        folder: the bag, or where it was unpacked.
        runtime: how stages are run now; the user's packages are those in the bag.
        out: goes into the settings.

    Raises:
        OutsideOfTheBag: a path leads elsewhere: a bag from a stranger would have it read.
    """
    recorded = run.runtime
    # What was computed on a card is checked without one where there is none.
    device = "auto" if recorded.device.startswith("cuda") else recorded.device
    runtime = replace(runtime, requirements=recorded.requirements, device=device)
    settings = run.settings(moved=folders_in_bag(run, folder), runtime=runtime, out=out)
    root = os.path.realpath(folder)
    for path in _paths(settings):
        if not os.path.realpath(path).startswith(f"{root}{os.sep}"):
            raise OutsideOfTheBag(f"its settings name {path}, and no such file is in the bag")
    return settings


def folders_in_bag(run: RecordedRun, folder: Path) -> dict[str, Path]:
    """Role of an input -> where a bag has its files."""
    return {one.role: folder / input_folder(one.role) for one in run.inputs}


def why_untrusted(asked: RunSettings, trust_code: bool) -> str | None:
    """Why stage 2 is not run: that would run code of whoever made the bag; None = it is run.

    Args:
        asked: what the run was asked for.
        trust_code: the user wants that.
    """
    if isinstance(asked, ExtractSettings) or trust_code:
        return None
    load = asked.load
    if ":" in load.model or load.model_folder is not None:
        name = os.path.basename(load.model)
        return f"the model {name} is code that came with the bag: --trust-code runs it"
    if asked.runtime.requirements is not None:
        return "the run used packages of the user's own: --trust-code installs and runs them"
    return None


def export_folder(run: RecordedRun, folder: Path) -> Path:
    """Where a bag has the export of its run."""
    result = folder / RESULT
    return result if run.command == "extract" else result / EXPORT_FOLDER


def _paths(settings: RunSettings) -> Iterator[Path]:
    """Every path of the host that the settings name to be read."""
    if settings.runtime.requirements is not None:
        yield settings.runtime.requirements
    if isinstance(settings, LoadSettings):
        yield settings.export
    else:
        yield settings.checkpoint
        if settings.extract.data_folder is not None:
            yield settings.extract.data_folder
    if not isinstance(settings, ExtractSettings):
        load = settings.load
        file = model_file(load.model)
        yield from (path for path in (load.map, load.model_folder, file) if path is not None)
