"""Where a bag may be made."""

from __future__ import annotations

import os
from pathlib import Path

from orchestration.archive.bag.tag_files import DECLARATION_FILE
from orchestration.archive.options import BAG, ArchiveOptions
from orchestration.archive.verify.tar_stream import is_stream
from orchestration.errors import OutputNotWritable, ResultExists
from orchestration.recorded_run import RecordedRun
from orchestration.result_folder import result_exists


def check_bag(options: ArchiveOptions, run: RecordedRun) -> Path:
    """Check, before anything is read, that the bag may be made.

    Returns:
        Its path without symbolic links.

    Raises:
        ResultExists: something is there, which is not to be replaced, or is no bag.
        OutputNotWritable: it would lie in the result, or the result in it.
    """
    bag = Path(os.path.realpath(options.bag))
    sources = [run.folder, *(recorded.folder for recorded in run.inputs)]
    for source in (Path(os.path.realpath(folder)) for folder in sources):
        if bag == source or bag in source.parents:
            raise ResultExists(
                f"{bag} holds what is to be archived ({source}).",
                "An archive never replaces what it is made from.",
                "Choose another place with --bag.",
            )
    result = Path(os.path.realpath(run.folder))
    if result in bag.parents:
        raise OutputNotWritable(
            f"The bag {bag} would lie in the result {result}.",
            "A place outside of it was expected: the bag holds the whole result.",
            "Choose another place with --bag.",
        )
    if os.path.lexists(bag):
        _check_existing(bag, options)
    return bag


def _check_existing(bag: Path, options: ArchiveOptions) -> None:
    if not options.force:
        raise result_exists(bag, "Bags are never changed.", BAG)
    if not (_is_stream_bag(bag) if options.is_stream else (bag / DECLARATION_FILE).is_file()):
        raise ResultExists(
            f"{bag} exists already, and is no bag.",
            "Only bags are ever replaced.",
            "Choose another place with --bag.",
        )


def _is_stream_bag(bag: Path) -> bool:
    return bag.is_file() and is_stream(bag)
