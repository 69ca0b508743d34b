"""Finds the one checkpoint that a user means by a folder, a prefix, or any of its files."""

from __future__ import annotations

import os
from functools import partial
from typing import List, NamedTuple, Optional

from stage_extract.errors import (
    AmbiguousCheckpoint,
    NoCheckpointFound,
    StepNotFound,
)
from stage_extract.files import check_access, check_plain_file, list_folder
from stage_extract.finding.checkpoint_names import (
    INDEX_SUFFIX,
    META_SUFFIX,
    STATE_FILE_NAME,
    is_shard_of,
    local_candidates,
    read_state_file,
    split_prefix,
    strip_suffix,
    unfinished_save_of,
)
from stage_extract.finding.file_kinds import (
    ARCHIVE,
    FileKind,
    binary_file_kind,
    file_kind,
    refuse_file,
)
from stage_extract.finding.located import Located
from stage_extract.finding.missing_parts import (
    index_missing,
    other_format_only,
    unfinished,
    warn_of_missing_graph,
)
from stage_extract.finding.model_places import (
    SAVED_MODEL_START,
    holds_saved_model,
    only_text_graph,
    saved_model_of,
)
from stage_extract.finding.step_choice import choose_by_state, choose_step, shown, take_newest
from stage_extract.storage.table_kinds import is_v1_file
from stage_extract.storage.v1_files import V1, V2, formats_at, is_at, prefixes_in, v1_prefix

_EXPECTED = (
    "Expected a folder with a TensorFlow checkpoint, its prefix (model.ckpt-1000), or one of its "
    "files (.index, .data-00000-of-00001, .meta)."
)


class _Wanted(NamedTuple):
    """What the user asked for; None leaves the choice.

    Attributes:
        step: a training step.
        format: "V1" or "V2".
    """

    step: Optional[int]
    format: Optional[str]


def _located(prefix: str, wanted: _Wanted, warnings: List[str]) -> Located:
    """Accept a prefix at which there is a checkpoint."""
    name = split_prefix(os.path.basename(prefix))
    if wanted.step is not None and name.step != wanted.step:
        raise StepNotFound(
            f"The checkpoint {prefix!r} is not of step {wanted.step}.",
            f"Its name says step {name.step}." if name.step is not None else "It names no step.",
            "Leave --step away, or give the folder that holds several steps.",
        )
    saved_model = saved_model_of(prefix)
    if saved_model is not None:
        return Located(saved_model, wanted.step, tuple(warnings), "SavedModel")
    whole = unfinished_save_of(prefix)
    if whole is not None:
        raise unfinished(prefix, whole)
    formats = formats_at(prefix)
    if not formats:
        # Its name was listed; what bears it may not be looked at, or is no file.
        check_plain_file(prefix + INDEX_SUFFIX)
    if wanted.format is not None and wanted.format not in formats:
        raise other_format_only(prefix, wanted.format, formats)
    chosen = wanted.format or formats[0]
    other = next((one for one in formats if one != chosen), None)
    if other is not None:
        warnings.append(
            f"At {os.path.basename(prefix)!r} lie a V2 checkpoint and one in the older format V1; "
            f"the {chosen} one is read. --checkpoint-format {other} takes the other."
        )
    elif os.path.isfile(prefix) and chosen == V2:
        kind = file_kind(prefix)
        words = kind.words if kind is not None else "a file of no known format"
        warnings.append(
            f"{os.path.basename(prefix)!r} is {words}; it is left aside, and the V2 checkpoint of "
            "the same name is read."
        )
    warnings += warn_of_missing_graph(prefix)
    return Located(prefix, name.step, tuple(warnings), chosen, other)


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
    suspects += [name for name in names if name in orphans or v1_prefix(name) in orphans]
    for name in suspects:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return _read_or_refuse(path, file_kind(path))
    return None


def _without_checkpoint(folder: str, names: List[str]) -> Located:
    """Find, or say, what a folder without any index holds instead."""
    other = _other_format(folder, names)
    if other is not None:
        return other
    for prefix in filter(None, map(strip_suffix, names)):
        raise index_missing(os.path.join(folder, prefix))
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
    return bool(prefixes_in(folder, names, None)) or holds_saved_model(names)


def _locate_in_folder(folder: str, wanted: _Wanted) -> Located:
    names = list_folder(folder)
    prefixes = prefixes_in(folder, names, wanted.format)
    warnings: List[str] = []
    state_path = os.path.join(folder, STATE_FILE_NAME)
    named = read_state_file(state_path) if os.path.isfile(state_path) else ()
    if wanted.step is not None and prefixes:
        state_names = [local_candidates(path)[-1] for path in named if local_candidates(path)]
        chosen = choose_step(folder, prefixes, wanted.step, state_names)
        return _located(os.path.join(folder, chosen), wanted, warnings)
    by_state = choose_by_state(folder, prefixes, named, partial(is_at, wanted.format), warnings)
    if by_state is not None:
        return _located(os.path.join(folder, by_state), wanted, warnings)
    if not prefixes:
        others = prefixes_in(folder, names, None)
        if others and wanted.format is not None:
            formats = formats_at(os.path.join(folder, others[-1].name))
            raise other_format_only(folder, wanted.format, formats)
        return _without_checkpoint(folder, names)
    chosen = prefixes[0].name if len(prefixes) == 1 else take_newest(folder, prefixes)
    if named:
        warnings.append(
            f"The `checkpoint` file names {named[0]!r}, which is not here; {chosen!r} is read."
        )
    return _located(os.path.join(folder, chosen), wanted, warnings)


def _locate_file(path: str, wanted: _Wanted) -> Located:
    folder, name = os.path.split(path)
    prefix = strip_suffix(name)
    if os.path.isfile(path + INDEX_SUFFIX):
        return _locate_prefix(path, wanted, path)
    if prefix is not None:
        return _locate_prefix(os.path.join(folder, prefix), wanted, path)
    if is_v1_file(path):
        return _locate_prefix(os.path.join(folder, v1_prefix(name)), wanted, path)
    folder = folder or "."
    if name == STATE_FILE_NAME and (read_state_file(path) or _holds_checkpoint(folder)):
        return _locate_in_folder(folder, wanted)
    return _read_or_refuse(path, file_kind(path))


def _locate_prefix(prefix: str, wanted: _Wanted, given: str) -> Located:
    """Accept a prefix at which there is a checkpoint; `given` is the path that the user gave."""
    folder, name = os.path.dirname(prefix) or ".", os.path.basename(prefix)
    names = list_folder(folder) if os.path.isdir(folder) else []
    has_shards = any(is_shard_of(other, name) for other in names)
    if os.path.isfile(prefix + INDEX_SUFFIX):
        target = os.path.realpath(prefix + INDEX_SUFFIX)
        if os.path.islink(prefix + INDEX_SUFFIX) and not has_shards and _is_index(target):
            return _locate(target, wanted)
        return _located(prefix, wanted, [])
    target = os.path.realpath(given)
    if os.path.islink(given) and not os.path.islink(target):
        return _locate(target, wanted)
    if V1 in formats_at(prefix):
        return _located(prefix, wanted, [])
    for other in names:
        # The .meta of a V1 checkpoint looks like that of a V2 one.
        if v1_prefix(other) == name:
            path = os.path.join(folder, other)
            return _read_or_refuse(path, file_kind(path))
    if has_shards or name + META_SUFFIX in names:
        raise index_missing(prefix)
    known = prefixes_in(folder, names, wanted.format)
    steps = [found for found in known if found.base == name]
    if steps and wanted.step is None:
        chosen = take_newest(folder, steps)
        return _located(os.path.join(folder, chosen), wanted, [f"{chosen!r} is read."])
    if steps and wanted.step is not None:
        chosen = choose_step(folder, steps, wanted.step, [])
        return _located(os.path.join(folder, chosen), wanted, [])
    shown_names = shown([found.name for found in known])
    raise NoCheckpointFound(
        f"There is nothing at {given!r}.",
        _EXPECTED,
        f"Checkpoints in {folder!r}: {shown_names}." if known else "Look for a typing error.",
    )


def _is_index(path: str) -> bool:
    return path.endswith(INDEX_SUFFIX) and os.path.isfile(path)


def locate(path: str, step: Optional[int], checkpoint_format: Optional[str] = None) -> Located:
    """Find the checkpoint that `path` means.

    Args:
        path: folder, prefix, any file of the checkpoint, or a link to one of these. Where a folder
            and a prefix have the same name, the folder is meant if it holds a checkpoint.
        step: training step to take; None takes what the `checkpoint` file names, else the newest.
        checkpoint_format: "V1" or "V2" where both lie at one prefix; None takes the newer.

    Raises:
        NoCheckpointFound: there is nothing like a checkpoint, or none of that format.
        AmbiguousCheckpoint: there are several, and nothing says which.
        StepNotFound: none is of that step.
        DataFileMissing: parts of a checkpoint are there, its index is not.
        GitLfsPointer, NotTensorFlow, UnsupportedFormat, TruncatedData: it is something else.
        NotReadable: the operating system refuses.
    """
    return _locate(path, _Wanted(step, checkpoint_format))


def _locate(path: str, wanted: _Wanted) -> Located:
    path = path.rstrip("/") or "/"
    check_access(path)
    if os.path.isdir(path):
        if _is_index(path + INDEX_SUFFIX) and not _holds_checkpoint(path):
            return _locate_prefix(path, wanted, path)
        return _locate_in_folder(path, wanted)
    if os.path.isfile(path):
        return _locate_file(path, wanted)
    folder, name = os.path.split(path)
    prefix = strip_suffix(name) or (name if _is_index(path + INDEX_SUFFIX) else v1_prefix(name))
    return _locate_prefix(os.path.join(folder, prefix), wanted, path)
