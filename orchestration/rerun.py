"""A recorded run once more: with its options, on its inputs, where its stages ran; then each byte
of the result is compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestration import pipeline
from orchestration.errors import NotReproduced
from orchestration.manifest import changed_files
from orchestration.previous_result import check_out
from orchestration.recorded_run import NOT_MOVED, RecordedRun
from orchestration.result_folder import result_exists
from orchestration.run_context import Outcome, RunContext
from orchestration.settings import ExtractSettings, LoadSettings, RuntimeOptions

_SHOWN_NAMES = 5
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN_DIGITS = 12
# What may explain other bytes: the place in the manifest, and its name for people.
_CONDITIONS: Mapping[tuple[str, ...], str] = {
    ("program", "source_sha256"): "program",
    ("runtime",): "runtime",
    ("extract", "image", "id"): "image of stage 1",
    ("load", "image", "id"): "image of stage 2",
    ("extract", "environment", "lock_sha256"): "lock of stage 1",
    ("load", "environment", "lock_sha256"): "lock of stage 2",
    ("extract", "versions"): "versions of stage 1",
    ("load", "versions"): "versions of stage 2",
    ("load", "result", "device"): "device",
    ("hardware", "cpu_model"): "processor",
    ("hardware", "cpu_features"): "features of the processor",
}


@dataclass(frozen=True)
class RerunSettings:
    """`orchestrate.py rerun RESULT`.

    Attributes:
        run: what is repeated.
        out: where the new result goes.
        runtime: how the stages are run this time, see `rerun_runtime`.
        moved: role -> folder in which its files lie now.
        force: an earlier result at `out` may be replaced.
    """

    run: RecordedRun
    out: Path
    runtime: RuntimeOptions
    moved: Mapping[str, Path] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True)
class Reproduction:
    """What came of a repeated run.

    Attributes:
        outcome: of the new run.
        equal: names of the files that have the recorded bytes.
        differing: names of files with other bytes.
        missing: names of files that were recorded, and were not made.
        added: names of files that were made, and were not recorded.
        conditions: what else is not as it was, for people; nothing of it need matter.
    """

    outcome: Outcome
    equal: tuple[str, ...]
    differing: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    conditions: tuple[str, ...]

    @property
    def unequal(self) -> tuple[str, ...]:
        """Names of all files that are not as recorded."""
        return (*self.differing, *self.missing, *self.added)

    def check(self) -> None:
        """Pass if every byte is as recorded.

        Raises:
            NotReproduced: a file has other bytes, is missing or was not recorded.
        """
        if self.unequal:
            why = f" Not as it was: {'; '.join(self.conditions)}." if self.conditions else ""
            raise NotReproduced(
                f"The run was repeated in {self.outcome.out}, and gave other files than recorded:"
                f" {_listed(self.unequal)}.",
                "Every file but the manifest was expected to have the recorded bytes.",
                f"Compare both folders.{why}",
            )


def rerun(settings: RerunSettings, context: RunContext) -> Reproduction:
    """Repeat a run, stage 1 included, and compare what it gives.

    Raises:
        NotReproduced: what it has read is gone, or has changed.
        ResultExists: something is at `out` already.
        OrchestrationError: a stage failed this time.
    """
    run = settings.run
    check_inputs(run, settings.moved)
    out = check_out(settings.out, settings.force, run.folder)
    if os.path.lexists(out) and not settings.force:
        raise result_exists(out, "A run is repeated into a folder of its own.")
    asked = run.settings(moved=settings.moved, runtime=settings.runtime, out=out)
    # No export of an earlier run is taken over.
    asked = replace(asked, force=True)
    if isinstance(asked, ExtractSettings):
        outcome = pipeline.extract(asked, context)
    elif isinstance(asked, LoadSettings):
        outcome = pipeline.load(asked, context)
    else:
        outcome = pipeline.convert(asked, context)
    return compared(run, outcome)


def check_inputs(run: RecordedRun, moved: Mapping[str, Path] = NOT_MOVED) -> None:
    """Pass if everything that a run has read is there, unchanged.

    Args:
        run: the run.
        moved: role -> folder in which its files lie now.

    Raises:
        NotReproduced: something is not.
    """
    wrong, ways = [], []
    for one in run.inputs:
        folder = moved.get(one.role, one.folder)
        names = changed_files(folder, one.files)
        wrong += [os.fspath(folder / name) for name in names]
        if names:
            is_main = one.role in ("checkpoint", "export")
            ways.append("--checkpoint PATH" if is_main else f"--moved {one.role}=FOLDER")
    if wrong:
        raise NotReproduced(
            f"The run cannot be repeated: missing or changed since: {_listed(wrong)}.",
            "Everything that the run has read was expected, unchanged.",
            f"Bring that back; or say with `{' '.join(ways)}` where it lies now, as it was then.",
        )


def compared(run: RecordedRun, outcome: Outcome) -> Reproduction:
    """Compare a new result with what was recorded."""
    before = {str(entry["name"]): entry["sha256"] for entry in run.files}
    after = {str(entry["name"]): entry["sha256"] for entry in outcome.manifest["files"]}
    both = sorted(before.keys() & after.keys())
    return Reproduction(
        outcome=outcome,
        equal=tuple(name for name in both if before[name] == after[name]),
        differing=tuple(name for name in both if before[name] != after[name]),
        missing=tuple(sorted(before.keys() - after.keys())),
        added=tuple(sorted(after.keys() - before.keys())),
        conditions=tuple(_changed_conditions(run.manifest, outcome.manifest)),
    )


def _changed_conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for place, name in _CONDITIONS.items():
        then, now = _at(before, place), _at(after, place)
        if isinstance(then, list) and isinstance(now, list):
            changes = [f"no {one}" for one in then if one not in now]
            changes += [f"{one} besides" for one in now if one not in then]
            if changes:
                yield f"{name} ({_listed(changes)})"
        elif then != now:
            yield f"{name} ({_shown(now)}, recorded was {_shown(then)})"


def _at(manifest: Any, place: Sequence[str]) -> Any:
    for key in place:
        manifest = manifest.get(key) if isinstance(manifest, dict) else None
    return manifest


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items()))
    if isinstance(value, str) and _HASH.fullmatch(value):
        return f"{value[:_SHOWN_DIGITS]}…"
    return "none" if value is None else str(value)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
