"""From the path that a user gave to an open source; an archive is unpacked for the job."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import Callable, Iterator, List, Optional

from stage_extract.archives.unpack import unpack
from stage_extract.errors import (
    AmbiguousCheckpoint,
    ExtractError,
    NoCheckpointFound,
    OutputNotWritable,
    UnsupportedFormat,
)
from stage_extract.finding.file_kinds import ARCHIVE
from stage_extract.finding.locate import locate
from stage_extract.finding.located import Located
from stage_extract.finding.step_choice import shown
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions, Job
from stage_extract.source import Source

# What the Finder of macOS adds to archives.
_SIDE_FOLDERS = frozenset(("__MACOSX",))


@contextmanager
def open_model(job: Job, warn: Callable[[str], None]) -> Iterator[Source]:
    """Find what a job's path means and open it; what was unpacked for it is gone at the end.

    Args:
        job: the job.
        warn: takes what is odd, for the user.

    Raises:
        ExtractError: as `locate`, `unpack` and the openers, and whatever is raised in the block:
            for a model in an archive, its texts name the archive.
    """
    located = locate(job.checkpoint, job.options.step, job.options.checkpoint_format)
    if located.format != ARCHIVE:
        yield _open(located, job, warn)
        return
    archive = located.prefix
    with _scratch_folder(job.out) as folder, _told_of_archive(folder, archive):
        for warning in unpack(archive, folder).warnings:
            warn(warning)
        located = _locate_below(folder, job.options)
        source = _open(located, job, warn)
        inner = os.path.relpath(source.prefix, folder)
        prefix = archive if inner == "." else f"{archive}/{inner}"
        yield replace(source, prefix=prefix, paths=(archive,))


def _open(located: Located, job: Job, warn: Callable[[str], None]) -> Source:
    for warning in located.warnings:
        warn(warning)
    source = open_source(located, job.options)
    for warning in source.warnings:
        warn(warning)
    return source


@contextmanager
def _scratch_folder(out: Optional[str]) -> Iterator[str]:
    """Give an empty folder, inside the output folder where there is one, and remove it at the end.

    In a container only the output folder is sure to have room.
    """
    try:
        folder = tempfile.mkdtemp(prefix="unpacked-", dir=out)
    except OSError as error:
        raise OutputNotWritable(
            f"An archive cannot be unpacked in {out or tempfile.gettempprefix()!r}: "
            f"{error.strerror}.",
            "Expected a folder that may be written to.",
            "Give another output folder, or unpack the archive yourself.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _told_of_archive(folder: str, archive: str) -> Iterator[None]:
    """Let errors name the archive instead of the folder that it was unpacked to."""
    try:
        yield
    except ExtractError as error:
        texts = (error.happened, error.expected, error.remedy)
        raise type(error)(*(text.replace(folder, archive) for text in texts)) from error


def _locate_below(folder: str, options: ExtractOptions) -> Located:
    """Find the one model in a folder or in the folders below it."""
    found: List[Located] = []
    errors: List[ExtractError] = []
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(set(folders) - _SIDE_FOLDERS)
        try:
            located = locate(place, options.step, options.checkpoint_format)
            if located.format == ARCHIVE:
                raise _nested(located.prefix)
        except AmbiguousCheckpoint:
            raise
        except ExtractError as error:
            errors.append(error)
            continue
        found.append(located)
        # What lies below a model belongs to it, as the variables of a SavedModel do.
        folders.clear()
    if len(found) > 1:
        names = [os.path.relpath(one.prefix, folder) for one in found]
        raise AmbiguousCheckpoint(
            f"{folder!r} holds several models: {shown(names)}.",
            "Expected an archive with one model.",
            "Unpack it, and give the one that you mean.",
        )
    if not found:
        other = (error for error in errors if not isinstance(error, NoCheckpointFound))
        raise next(other, errors[0])
    return found[0]


def _nested(path: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{path!r} is an archive inside of an archive.",
        "Expected an archive that holds a model.",
        "Unpack the outer one, and give the inner one.",
    )
