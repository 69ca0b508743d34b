"""Finds the one checkpoint that a user means by a folder, a prefix, or any of its files."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional, Tuple

from stage_extract.checkpoint_names import (
    INDEX_SUFFIX,
    META_SUFFIX,
    STATE_FILE_NAME,
    is_shard_of,
    local_candidates,
    prefixes_with_index,
    read_state_file,
    split_prefix,
    strip_suffix,
    strip_v1_shard_suffix,
)
from stage_extract.errors import (
    AmbiguousCheckpoint,
    DataFileMissing,
    NoCheckpointFound,
    StepNotFound,
)
from stage_extract.file_kinds import ARCHIVE, FileKind, binary_file_kind, file_kind, refuse_file
from stage_extract.files import check_access, list_folder
from stage_extract.model_places import (
    SAVED_MODEL_START,
    holds_saved_model,
    only_text_graph,
    saved_model_of,
)
from stage_extract.step_choice import choose_by_state, choose_step, shown, take_newest

_EXPECTED = (
    "Expected a folder with a TensorFlow checkpoint, its prefix (model.ckpt-1000), or one of its "
    "files (.index, .data-00000-of-00001, .meta)."
)


class Located(NamedTuple):
    """A model that is there, and its format.

    Attributes:
        prefix: of a checkpoint its path without any suffix; of another format its file or folder.
        step: training step in its name; None without one.
        warnings: what was odd on the way, for the user.
        format: a key of `formats.registry.OPENERS`.
    """

    prefix: str
    step: Optional[int]
    warnings: Tuple[str, ...]
    format: str = "V2"


def _located(prefix: str, step: Optional[int], warnings: List[str]) -> Located:
    """Accept a prefix; `step` is what the user asked for."""
    name = split_prefix(os.path.basename(prefix))
    if step is not None and name.step != step:
        raise StepNotFound(
            f"The checkpoint {prefix!r} is not of step {step}.",
            f"Its name says step {name.step}." if name.step is not None else "It names no step.",
            "Leave --step away, or give the folder that holds several steps.",
        )
    saved_model = saved_model_of(prefix)
    if saved_model is not None:
        return Located(saved_model, step, tuple(warnings), "SavedModel")
    if os.path.isfile(prefix):
        kind = file_kind(prefix)
        words = kind.words if kind is not None else "a file of no known format"
        warnings.append(
            f"{os.path.basename(prefix)!r} is {words}; it is left aside, and the V2 checkpoint of "
            "the same name is read."
        )
    warnings += _warn_of_missing_graph(prefix)
    return Located(prefix, name.step, tuple(warnings))


def _warn_of_missing_graph(prefix: str) -> List[str]:
    if os.path.lexists(prefix + META_SUFFIX):
        return []
    name = os.path.basename(prefix)
    others = [
        other
        for other in list_folder(os.path.dirname(prefix) or ".")
        if other.endswith(META_SUFFIX)
    ]
    if not others:
        return []
    return [
        f"{name + META_SUFFIX} is missing, so that there is no graph. If {shown(others)} is of the "
        f"same model, copy it to {name + META_SUFFIX} and extract again."
    ]


def _read_or_refuse(path: str, kind: Optional[FileKind]) -> Located:
    """Accept a file of a format that is read, and say of any other what it is."""
    if kind is not None and kind.format is not None:
        return Located(path, None, (), kind.format)
    raise refuse_file(path, kind)


def _other_format(folder: str, names: List[str]) -> Optional[Located]:
    """Find the first file of a folder that is a model of another format."""
    orphans = set(filter(None, map(strip_suffix, names)))
    suspects = [name for name in names if name.startswith(SAVED_MODEL_START)]
    # A V1 checkpoint has a .meta beside it as well.
    suspects += [
        name for name in names if name in orphans or strip_v1_shard_suffix(name) in orphans
    ]
    for name in suspects:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return _read_or_refuse(path, file_kind(path))
    return None


def _without_index(folder: str, names: List[str]) -> Located:
    """Find, or say, what a folder without any index holds instead."""
    other = _other_format(folder, names)
    if other is not None:
        return other
    for prefix in filter(None, map(strip_suffix, names)):
        raise _index_missing(os.path.join(folder, prefix))
    by_bytes = _by_bytes(folder, names)
    if by_bytes is not None:
        return by_bytes
    below = [name for name in names if _holds_checkpoint(os.path.join(folder, name))]
    # An estimator writes a graph without weights as text beside the folders of its checkpoints.
    graph = None if below else only_text_graph(folder, names)
    if graph is not None:
        return _read_or_refuse(graph, file_kind(graph))
    visible = [name for name in names if not name.startswith(".")]
    raise NoCheckpointFound(
        f"The folder {folder!r} holds no checkpoint; it holds {shown(visible)}.",
        _EXPECTED,
        f"There are checkpoints in its folders {shown(below)}: give one of these."
        if below
        else "Give the folder to which the training saved its model.",
    )


def _by_bytes(folder: str, names: List[str]) -> Optional[Located]:
    """Find the one file of a folder that is a model by its bytes; an archive is the last choice."""
    paths = [os.path.join(folder, name) for name in names]
    found = [(path, binary_file_kind(path)) for path in paths if os.path.isfile(path)]
    kinds = [(path, kind) for path, kind in found if kind is not None]
    readable = [(path, kind) for path, kind in kinds if kind.format not in (None, ARCHIVE)]
    chosen = readable or [(path, kind) for path, kind in kinds if kind.format == ARCHIVE] or kinds
    if len(chosen) > 1 and chosen is not kinds:
        shown_names = shown([os.path.basename(path) for path, _ in chosen])
        raise AmbiguousCheckpoint(
            f"{folder!r} holds several models: {shown_names}.",
            "Expected one.",
            f"Give the file that you mean, e.g. {chosen[-1][0]}.",
        )
    return _read_or_refuse(*chosen[0]) if chosen else None


def _holds_checkpoint(folder: str) -> bool:
    readable = os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)
    names = list_folder(folder) if readable else []
    return bool(prefixes_with_index(names)) or holds_saved_model(names)


def _index_missing(prefix: str) -> DataFileMissing:
    return DataFileMissing(
        f"{prefix + INDEX_SUFFIX!r} is missing, although other files of that checkpoint are there.",
        "Expected NAME.index beside NAME.data-00000-of-00001: it says where each variable is.",
        "Copy it from where the checkpoint comes from.",
    )


def _locate_in_folder(folder: str, step: Optional[int]) -> Located:
    names = list_folder(folder)
    prefixes = prefixes_with_index(names)
    warnings: List[str] = []
    state_path = os.path.join(folder, STATE_FILE_NAME)
    named = read_state_file(state_path) if os.path.isfile(state_path) else ()
    if step is not None and prefixes:
        state_names = [local_candidates(path)[-1] for path in named if local_candidates(path)]
        chosen = choose_step(folder, prefixes, step, state_names)
        return _located(os.path.join(folder, chosen), step, warnings)
    by_state = choose_by_state(folder, prefixes, named, warnings)
    if by_state is not None:
        return _located(os.path.join(folder, by_state), step, warnings)
    if not prefixes:
        return _without_index(folder, names)
    chosen = prefixes[0].name if len(prefixes) == 1 else take_newest(folder, prefixes)
    if named:
        warnings.append(
            f"The `checkpoint` file names {named[0]!r}, which is not here; {chosen!r} is read."
        )
    return _located(os.path.join(folder, chosen), step, warnings)


def _locate_file(path: str, step: Optional[int]) -> Located:
    folder, name = os.path.split(path)
    prefix = strip_suffix(name)
    if os.path.isfile(path + INDEX_SUFFIX):
        return _locate_prefix(path, step, path)
    if prefix is not None:
        return _locate_prefix(os.path.join(folder, prefix), step, path)
    folder = folder or "."
    if name == STATE_FILE_NAME and (read_state_file(path) or _holds_checkpoint(folder)):
        return _locate_in_folder(folder, step)
    return _read_or_refuse(path, file_kind(path))


def _locate_prefix(prefix: str, step: Optional[int], given: str) -> Located:
    """Accept a prefix whose index is there; `given` is the path that the user gave."""
    folder, name = os.path.dirname(prefix) or ".", os.path.basename(prefix)
    names = list_folder(folder) if os.path.isdir(folder) else []
    has_shards = any(is_shard_of(other, name) for other in names)
    if os.path.isfile(prefix + INDEX_SUFFIX):
        target = os.path.realpath(prefix + INDEX_SUFFIX)
        if os.path.islink(prefix + INDEX_SUFFIX) and not has_shards and _is_index(target):
            return locate(target, step)
        return _located(prefix, step, [])
    target = os.path.realpath(given)
    if os.path.islink(given) and not os.path.islink(target):
        return locate(target, step)
    for other in names:
        # The .meta of a V1 checkpoint looks like that of a V2 one.
        if other == name or strip_v1_shard_suffix(other) == name:
            path = os.path.join(folder, other)
            return _read_or_refuse(path, file_kind(path))
    if has_shards or name + META_SUFFIX in names:
        raise _index_missing(prefix)
    steps = [found for found in prefixes_with_index(names) if found.base == name]
    if steps and step is None:
        chosen = take_newest(folder, steps)
        return _located(os.path.join(folder, chosen), None, [f"{chosen!r} is read."])
    if steps and step is not None:
        return _located(os.path.join(folder, choose_step(folder, steps, step, [])), step, [])
    known = [found.name for found in prefixes_with_index(names)]
    raise NoCheckpointFound(
        f"There is nothing at {given!r}.",
        _EXPECTED,
        f"Checkpoints in {folder!r}: {shown(known)}." if known else "Look for a typing error.",
    )


def _is_index(path: str) -> bool:
    return path.endswith(INDEX_SUFFIX) and os.path.isfile(path)


def locate(path: str, step: Optional[int]) -> Located:
    """Find the checkpoint that `path` means.

    Args:
        path: folder, prefix, any file of the checkpoint, or a link to one of these. Where a folder
            and a prefix have the same name, the folder is meant if it holds a checkpoint.
        step: training step to take; None takes what the `checkpoint` file names, else the newest.

    Raises:
        NoCheckpointFound: there is nothing like a checkpoint.
        AmbiguousCheckpoint: there are several, and nothing says which.
        StepNotFound: none is of that step.
        DataFileMissing: parts of a checkpoint are there, its index is not.
        GitLfsPointer, NotTensorFlow, UnsupportedFormat, TruncatedData: it is something else.
        NotReadable: the operating system refuses.
    """
    path = path.rstrip("/") or "/"
    check_access(path)
    if os.path.isdir(path):
        if _is_index(path + INDEX_SUFFIX) and not _holds_checkpoint(path):
            return _locate_prefix(path, step, path)
        return _locate_in_folder(path, step)
    if os.path.isfile(path):
        return _locate_file(path, step)
    prefix = strip_suffix(os.path.basename(path))
    if prefix is not None:
        return _locate_prefix(os.path.join(os.path.dirname(path), prefix), step, path)
    return _locate_prefix(path, step, path)
