"""Looks for everything that an archive is to hold, and says all that is missing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from orchestration.archive import layout
from orchestration.archive.entries import Contents, Entry
from orchestration.archive.folder_walk import walk_folder
from orchestration.archive.options import ArchiveOptions
from orchestration.archive.portable_names import PortableNames, write_renamed
from orchestration.archive.program_files import git_commit, program_files
from orchestration.errors import NotArchivable
from orchestration.manifest import MANIFEST_FILE
from orchestration.publishing import EXPORT_FOLDER
from orchestration.recorded_run import RecordedInput, RecordedRun
from orchestration.run_paths import repository_folder
from orchestration.run_record import MODEL_SOURCE

# What nobody edits by hand; the rest of a result is small, and people do edit mapping.csv.
_NEVER_EDITED: Final = ".safetensors"
_NAMED: Final = 50
# Inputs that a result has a copy of: role -> its folder there. Whoever made them may have gone on
# working on them since.
_KEPT: Final = MappingProxyType({"model": MODEL_SOURCE, "export": EXPORT_FOLDER})


def collect(
    run: RecordedRun, options: ArchiveOptions, bag: Path, made: Iterable[Entry] = ()
) -> Contents:
    """Everything that the bag is to hold but its own metadata.

    Sizes are compared with the record here; contents are when they are read, once.

    Args:
        run: the result.
        options: what else is wanted.
        bag: where the bag is being made, which may be in a folder that is archived.
        made: files that were made for the bag: images and packages; below `data/`.

    Raises:
        NotArchivable: something is gone or has changed since, or cannot be read; all is named.
    """
    collection = _Collection()
    for recorded in run.inputs:
        collection.add_input(recorded, run.folder / _KEPT.get(recorded.role, ""))
    collection.add_result(run, bag)
    if options.code is not None:
        collection.add_code(options.code, bag)
    if options.with_program:
        collection.add_program(repository_folder())
    collection.add_legal(layout.LICENSE, options.license_file)
    collection.add_legal(layout.CITATION, options.citation)
    for entry in made:
        collection.add(entry.path, entry.source, may_link=entry.may_link, sha256=entry.sha256)
    commit = None if options.code is None else git_commit(options.code)
    return collection.finish(commit)


def not_archivable(problems: Mapping[str, str]) -> NotArchivable:
    """The error for files that an archive must hold and cannot.

    Args:
        problems: file -> what is wrong with it.
    """
    listed = [f"{path}: {why}" for path, why in sorted(problems.items())]
    more = f"; and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else ""
    return NotArchivable(
        f"These cannot be archived: {'; '.join(listed[:_NAMED])}{more}.",
        "Every file was expected as the result's record has it, and readable.",
        "Bring the files back to where they lay, or convert again from those that there are now;"
        " what is not to be in the archive must not lie in the folders that are given.",
    )


class _Collection:
    """Gathers entries, and what is wrong with some."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._names = PortableNames()
        self._problems: dict[str, str] = {}
        self._left_out: dict[str, str] = {}

    def add(
        self,
        path: str,
        source: Path | bytes,
        *,
        may_link: bool = False,
        sha256: str | None = None,
        recorded_bytes: int | None = None,
    ) -> None:
        """Add a file, unless it is gone or its size is not what the record says."""
        was = path if isinstance(source, bytes) else os.fspath(source)
        try:
            size_bytes = len(source) if isinstance(source, bytes) else _plain_size_bytes(source)
        except OSError as error:
            self._problems[was] = error.strerror or str(error)
            return
        if recorded_bytes is not None and size_bytes != recorded_bytes:
            self._problems[was] = f"it has changed, from {recorded_bytes:,} to {size_bytes:,} bytes"
            return
        self._entries.append(
            Entry(self._names.add(path), source, size_bytes, may_link, sha256, was)
        )

    def add_recorded(self, folder: str, source: Path, file: Mapping[str, Any]) -> None:
        """Add a file that the run's record describes."""
        name = str(file["name"])
        self.add(
            f"{folder}/{name}",
            source / name,
            may_link=folder == _RESULT and name.endswith(_NEVER_EDITED),
            sha256=str(file["sha256"]),
            recorded_bytes=int(file["size_bytes"]),
        )

    def add_input(self, recorded: RecordedInput, kept: Path) -> None:
        """What the run has read for one purpose; `kept` has what the result keeps of it."""
        folder = layout.below_payload(layout.input_folder(recorded.role))
        is_kept = recorded.role in _KEPT and kept.is_dir()
        for file in recorded.files:
            self.add_recorded(folder, kept if is_kept else recorded.folder, file)

    def add_result(self, run: RecordedRun, bag: Path) -> None:
        """The result folder, with what somebody may have put there besides."""
        recorded = {str(file["name"]): file for file in run.files}
        found = self._walk(run.folder, bag, _RESULT)
        for name in sorted({*found, *recorded} - {MANIFEST_FILE}):
            if name in recorded:
                self.add_recorded(_RESULT, run.folder, recorded[name])
            else:
                self.add(f"{_RESULT}/{name}", run.folder / name)
        self.add(f"{_RESULT}/{MANIFEST_FILE}", run.folder / MANIFEST_FILE)

    def add_code(self, folder: Path, bag: Path) -> None:
        """The old training code."""
        for name in self._walk(folder, bag, _CODE):
            self.add(f"{_CODE}/{name}", folder / name)

    def add_program(self, root: Path) -> None:
        """This program itself."""
        for name in program_files(root):
            self.add(f"{_PROGRAM}/{name}", root / name)

    def add_legal(self, folder: str, file: Path | None) -> None:
        """A text that somebody gave."""
        if file is not None:
            self.add(f"{layout.below_payload(folder)}/{file.name}", file)

    def finish(self, code_commit: str | None) -> Contents:
        """All of it. Raises NotArchivable."""
        if self._problems:
            raise not_archivable(self._problems)
        renamed = self._names.renamed
        if renamed:
            self.add(layout.below_payload(layout.RENAMED), write_renamed(renamed))
        if len(self._entries) > layout.MOST_FILES:
            raise NotArchivable(
                f"The archive would hold {len(self._entries):,} files.",
                f"At most {layout.MOST_FILES:,} files were expected.",
                "Give a smaller folder with --with-code, or pack data sets in it into one file.",
            )
        entries = tuple(sorted(self._entries, key=lambda entry: entry.path))
        return Contents(entries, renamed, self._left_out, code_commit)

    def _walk(self, folder: Path, bag: Path, below: str) -> list[str]:
        """Plain files of a folder that goes into `below`; the rest is noted."""
        content = walk_folder(folder, without=bag)
        self._left_out |= {f"{below}/{path}": why for path, why in content.left_out.items()}
        self._problems |= {f"{folder}/{path}": why for path, why in content.unreadable.items()}
        return content.files


def _plain_size_bytes(file: Path) -> int:
    """Size of a plain file. Raises OSError for anything else: a pipe has no end."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    return status.st_size


_RESULT: Final = layout.below_payload(layout.RESULT)
_CODE: Final = layout.below_payload(layout.CODE)
_PROGRAM: Final = layout.below_payload(layout.PROGRAM)
