"""The names of a checkpoint's files, and the `checkpoint` text file beside them."""

from __future__ import annotations

import os
import re
from typing import Iterable, List, NamedTuple, Optional, Tuple

from stage_extract.files import open_for_reading
from stage_extract.messages import CheckpointState, TextError, parse_text

STATE_FILE_NAME = "checkpoint"
INDEX_SUFFIX = ".index"
META_SUFFIX = ".meta"

_DATA_SUFFIX = re.compile(r"\.data-(\d{5,})-of-(\d{5,})$")
# The saver and the `checkpoint` file name all shards at once, with ????? for the number.
_V1_SHARD_SUFFIX = re.compile(r"-(\d{5}|\?{5})-of-(\d{5})$")
# Where the shards of one save lie until TensorFlow has merged their indices (training/saver.py).
_UNFINISHED_FOLDER = re.compile(r"(.+)_temp_[0-9a-f]{32}$")
_STEP_SUFFIX = re.compile(r"-(\d+)$")
# A list of paths; anything longer is another file of this name, such as a model.
_MAX_STATE_SIZE_BYTES = 1024 * 1024
# macOS writes such companions of every file onto foreign disks and into archives.
_APPLE_DOUBLE_START = "._"


class PrefixName(NamedTuple):
    """A checkpoint's prefix, split at its step.

    Attributes:
        base: the name given to the saver ("model.ckpt").
        step: the training step behind it; None without one.
        name: the prefix ("model.ckpt-2000").
    """

    base: str
    step: Optional[int]
    name: str


class V1Shard(NamedTuple):
    """The name of one shard of a V1 checkpoint, or of all of them.

    Attributes:
        prefix: the name without the numbers.
        number: of this shard, from 0; None for all.
        total: number of the shards.
    """

    prefix: str
    number: Optional[int]
    total: int


def split_prefix(name: str) -> PrefixName:
    """Split a prefix at its training step."""
    match = _STEP_SUFFIX.search(name)
    if match is None:
        return PrefixName(name, None, name)
    return PrefixName(name[: match.start()], int(match.group(1)), name)


def strip_suffix(name: str) -> Optional[str]:
    """Give the prefix that a file of a checkpoint belongs to; None for any other name.

    It is empty where a Saver was given a folder with a slash behind it ("ckpt/.index").
    """
    for suffix in (INDEX_SUFFIX, META_SUFFIX):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    match = _DATA_SUFFIX.search(name)
    return name[: match.start()] if match else None


def split_v1_shard(name: str) -> Optional[V1Shard]:
    """Split the name of a V1 shard ("export-00000-of-00001"); None for any other name."""
    match = _V1_SHARD_SUFFIX.search(name)
    if match is None or not match.start():
        return None
    number = None if match.group(1).startswith("?") else int(match.group(1))
    total = int(match.group(2))
    return V1Shard(name[: match.start()], number, total) if (number or 0) < total else None


def v1_shard_name(prefix: str, shard: int, num_shards: int) -> str:
    """Give the name of one V1 shard, as TensorFlow writes it."""
    return f"{prefix}-{shard:05d}-of-{num_shards:05d}"


def unfinished_save_of(prefix: str) -> Optional[str]:
    """Give the name of the checkpoint that a prefix was to be a part of; None for a whole one."""
    folder, name = os.path.split(os.path.abspath(prefix))
    match = _UNFINISHED_FOLDER.search(os.path.basename(folder))
    return match.group(1) if match and split_v1_shard(name) is not None else None


def shard_name(prefix: str, shard: int, num_shards: int) -> str:
    """Give the name of one data shard, as TensorFlow writes it."""
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def is_shard_of(name: str, prefix: str) -> bool:
    """Tell whether a name is a data shard of this prefix."""
    return name.startswith(prefix) and _DATA_SUFFIX.fullmatch(name[len(prefix) :]) is not None


def meta_path_of(prefix: str) -> Optional[str]:
    """Give the path of the .meta file beside a checkpoint; None without one."""
    return prefix + META_SUFFIX if os.path.lexists(prefix + META_SUFFIX) else None


def prefixes_with_index(names: Iterable[str]) -> List[PrefixName]:
    """Give the prefixes whose index is among the names of a folder, sorted by step, then name."""
    prefixes = [
        split_prefix(name[: -len(INDEX_SUFFIX)])
        for name in names
        if name.endswith(INDEX_SUFFIX) and not name.startswith(_APPLE_DOUBLE_START)
    ]
    return sort_by_step(prefixes)


def sort_by_step(prefixes: Iterable[PrefixName]) -> List[PrefixName]:
    """Sort by step, those without one first, then by name."""
    return sorted(
        prefixes,
        key=lambda prefix: (-1 if prefix.step is None else prefix.step, prefix.name),
    )


def read_state_file(path: str) -> Tuple[str, ...]:
    """Give the paths that a `checkpoint` file names, the latest first.

    Returns:
        An empty tuple if the file is no such text: it is a help, not a part of the checkpoint.

    Raises:
        NotReadable: the operating system refuses.
    """
    with open_for_reading(path) as file:
        content = file.read(_MAX_STATE_SIZE_BYTES)
    state = CheckpointState()
    try:
        parse_text(content.decode("utf-8"), state)
    except (UnicodeDecodeError, TextError):
        return ()
    if not state.model_checkpoint_path:
        return ()
    return (state.model_checkpoint_path, *reversed(state.all_model_checkpoint_paths))


def local_candidates(named: str) -> List[str]:
    """Give the names inside the folder that a path of a `checkpoint` file may stand for.

    The path is often that of the machine that trained the model: absolute, or Windows'. A relative
    one that stays inside the folder is tried as it is, then its last part. The numbers of V1 shards
    are left out.
    """
    parts = [part for part in re.split(r"[/\\]", named) if part not in ("", ".")]
    if not parts or "\0" in named:
        return []
    shard = split_v1_shard(parts[-1])
    parts[-1] = parts[-1] if shard is None else shard.prefix
    absolute = named.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", named) is not None
    candidates = [] if absolute or ".." in parts else [os.path.join(*parts)]
    # A path that ends in a slash is a prefix without a name.
    nameless = [""] if named.endswith(("/", "\\")) else []
    return [*nameless, *candidates, parts[-1]]
