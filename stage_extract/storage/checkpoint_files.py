"""The files of one checkpoint, checked before anything is read from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from stage_extract.errors import CorruptIndex, EmptyCheckpoint
from stage_extract.files import list_folder, not_readable, open_for_reading
from stage_extract.finding.checkpoint_names import (
    INDEX_SUFFIX,
    is_shard_of,
    meta_path_of,
    shard_name,
)
from stage_extract.finding.file_kinds import (
    binary_file_kind,
    file_kind,
    is_git_lfs_pointer,
    refuse_file,
)
from stage_extract.finding.located import Located
from stage_extract.finding.missing_parts import shards_missing
from stage_extract.storage.bundle_index import BundleIndex, read_bundle_index
from stage_extract.storage.bundle_reader import truncated
from stage_extract.storage.sstable import has_table_footer


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint that is complete and large enough.

    Attributes:
        prefix: path without any suffix.
        step: training step in its name; None without one.
        index_path: the .index file.
        shard_paths: the data shards, in the order of their numbers.
        meta_path: the .meta file; None without one.
    """

    prefix: str
    step: Optional[int]
    index_path: str
    shard_paths: Tuple[str, ...]
    meta_path: Optional[str]

    def paths(self) -> List[str]:
        """Give every file that belongs to the checkpoint."""
        meta = [self.meta_path] if self.meta_path is not None else []
        return [self.index_path, *self.shard_paths, *meta]


def _refuse_git_lfs_pointer(path: str) -> None:
    if is_git_lfs_pointer(path):
        raise refuse_file(path, file_kind(path))


def _check_index_file(path: str) -> None:
    """Refuse what is no table; only a table is worth decoding."""
    with open_for_reading(path) as file:
        is_table = has_table_footer(file)
        is_empty = file.seek(0, os.SEEK_END) == 0
    if is_table:
        return
    if is_empty or binary_file_kind(path) is not None:
        raise refuse_file(path, file_kind(path))
    raise CorruptIndex(
        f"{path!r} does not end as an index does.",
        "Expected the .index file that TensorFlow wrote for this checkpoint, whole.",
        "Copy the file again from its source: it was cut off, or is something else.",
    )


def _find_shards(prefix: str, num_shards: int, data_folder: Optional[str]) -> Tuple[str, ...]:
    """Give the paths of all data shards, or say which are missing.

    Args:
        prefix: the checkpoint.
        num_shards: how many its index names.
        data_folder: where shards are that do not lie beside the index.
    """
    folder, name = os.path.split(prefix)
    folders = [folder] + ([data_folder] if data_folder is not None else [])
    places: Dict[str, str] = {}
    for place in folders:
        for other in list_folder(place or "."):
            if is_shard_of(other, name):
                places.setdefault(other, os.path.join(place, other))
    expected = [shard_name(name, shard, num_shards) for shard in range(num_shards)]
    missing = sorted(set(expected) - set(places))
    if missing:
        raise shards_missing(prefix, missing, expected, data_folder, not places)
    return tuple(places[shard] for shard in expected)


def _check_shard_sizes(index: BundleIndex, shard_paths: Tuple[str, ...]) -> None:
    """Refuse a shard that is too short; TensorFlow would abort the process on it."""
    for path, needed_bytes in zip(shard_paths, index.shard_sizes_bytes()):
        try:
            size_bytes = os.path.getsize(path)
        except OSError as error:
            raise not_readable(path, error) from error
        if size_bytes < needed_bytes:
            raise truncated(path, size_bytes, needed_bytes)


def check_checkpoint(
    located: Located, data_folder: Optional[str] = None
) -> Tuple[CheckpointFiles, BundleIndex]:
    """Decode the index, and check that all files are there, readable and large enough.

    Args:
        located: the checkpoint.
        data_folder: where data shards are that do not lie beside the index.

    Raises:
        GitLfsPointer, NotTensorFlow, UnsupportedFormat: a file is something else.
        CorruptIndex: the index cannot be decoded or contradicts itself.
        DataFileMissing: data shards are missing.
        TruncatedData: a file is too short.
        EmptyCheckpoint: the index lists nothing.
        NotReadable: the operating system refuses.
    """
    prefix = located.prefix
    index_path = prefix + INDEX_SUFFIX
    _refuse_git_lfs_pointer(index_path)
    _check_index_file(index_path)
    index = read_bundle_index(index_path)
    shard_paths = _find_shards(prefix, index.num_shards, data_folder)
    meta_path = meta_path_of(prefix)
    for path in (*shard_paths, *([meta_path] if meta_path else [])):
        _refuse_git_lfs_pointer(path)
    _check_shard_sizes(index, shard_paths)
    if not index.tensors:
        raise EmptyCheckpoint(
            f"The checkpoint {prefix!r} lists no variable.",
            "Expected at least one.",
            "Look whether the training's saver was made with the model's variables.",
        )
    return CheckpointFiles(prefix, located.step, index_path, shard_paths, meta_path), index
