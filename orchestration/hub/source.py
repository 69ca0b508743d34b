"""The result that is shared: a folder of its own, or in an archive, which is then checked first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from orchestration.archive.crate.metadata import NO_LICENSE, SPDX
from orchestration.archive.layout import CRATE_METADATA, LICENSE, PAYLOAD, RESULT
from orchestration.archive.verify.bag_names import is_payload
from orchestration.archive.verify.fixity import check_fixity, is_bag
from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.members import BagContent, Progress
from orchestration.archive.verify.tar_members import read_stream
from orchestration.archive.verify.tar_stream import is_stream
from orchestration.errors import BagDamaged, BagUnreadable
from orchestration.hub.options import License
from orchestration.strict_json import decode_json

_SHOWN_FAULTS = 5


@dataclass(frozen=True)
class Source:
    """A result.

    Attributes:
        folder: the result folder.
        license: what the archive tells, or None.
    """

    folder: Path
    license: License | None = None


@contextmanager
def opened(path: Path, progress: Progress) -> Iterator[Source]:
    """Find the result; one that is packed lies in a temporary folder until the block is left.

    Args:
        path: a result folder, or an archive.
        progress: called as an archive is read.

    Raises:
        BagDamaged: files of the archive are not as they were put away.
        BagUnreadable: the file is no archive, or holds no result.
        DiskFull, OutputNotWritable: there is no room to unpack.
    """
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="tf1-to-torch-bag-") as scratch:
            yield _in_bag(path, _unpacked(path, Path(scratch), progress))
    elif path.is_dir() and is_bag(path):
        yield _in_bag(path, read_folder(path, progress))
    else:
        yield Source(path)


def _unpacked(path: Path, scratch: Path, progress: Progress) -> BagContent:
    try:
        is_packed = is_stream(path)
    except OSError as error:
        raise _unreadable(path, f"it cannot be read ({error.strerror})") from error
    if not is_packed:
        raise _unreadable(path, "the file is no .tar.zst")
    return read_stream(path, scratch, progress, _is_needed)


def _is_needed(path: str) -> bool:
    """Whether a file is unpacked: it is shared, or tells what is."""
    is_shared = path.startswith((f"{RESULT}/", f"{LICENSE}/"))
    return is_shared or not is_payload(path) or path == CRATE_METADATA


def _in_bag(path: Path, content: BagContent) -> Source:
    verdict = check_fixity(content)
    if verdict.faults:
        shown = [f"{fault.path} ({fault.kind})" for fault in verdict.faults[:_SHOWN_FAULTS]]
        more = len(verdict.faults) - len(shown)
        raise BagDamaged(
            f"{path} is damaged: {', '.join(shown)}{f' and {more:,} more' if more else ''}.",
            "Only a whole archive is shared.",
            "Take an untouched copy of it; `orchestrate.py verify` tells more.",
        )
    folder = content.folder / RESULT
    if not folder.is_dir():
        raise _unreadable(path, f"it has no {RESULT}")
    return Source(folder, _license(content))


def _license(content: BagContent) -> License | None:
    """What an archive's metadata says of the licence; None if that is nothing, or not readable."""
    try:
        graph = decode_json((content.folder / CRATE_METADATA).read_bytes())["@graph"]
        root: dict[str, Any] = next(entity for entity in graph if entity.get("@id") == "./")
        identifier = root["license"]["@id"]
        entity = next(entity for entity in graph if entity.get("@id") == identifier)
        name = str(entity["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    if str(identifier).startswith(SPDX):
        return License(str(identifier).removeprefix(SPDX))
    # Only what lies where `archive` puts it: a crate may come from anybody, and lead anywhere.
    path = f"{PAYLOAD}/{unquote(str(identifier))}"
    if path in content.files and path.startswith(f"{LICENSE}/"):
        return License(PurePosixPath(path).name, content.folder / path)
    return None if identifier == NO_LICENSE else License(name)


def _unreadable(path: Path, why: str) -> BagUnreadable:
    return BagUnreadable(
        f"{path} is no archive that can be used: {why}.",
        "A result folder was expected, or a bag that `orchestrate.py archive` made.",
        "Look at the path.",
    )
