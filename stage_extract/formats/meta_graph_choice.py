"""Which of a SavedModel's graphs is meant: by its tags."""

from __future__ import annotations

from typing import FrozenSet, Iterable, List, Sequence, Tuple

from stage_extract.errors import AmbiguousCheckpoint, CorruptIndex, EndpointNotFound
from stage_extract.messages import MetaGraphDef, SavedModel

# tensorflow/python/saved_model/tag_constants.py: SERVING.
_SERVING = frozenset(("serve",))
# The modules of TensorFlow Hub keep their graph for inference without a tag.
_UNTAGGED: FrozenSet[str] = frozenset()


def choose_meta_graph(
    path: str, graphs: Sequence[MetaGraphDef], tags: Sequence[str]
) -> Tuple[int, List[str]]:
    """Choose one graph: the one with the user's tags, the only one, or the one for serving.

    Args:
        path: saved_model.pb.
        graphs: all graphs in it.
        tags: what the user asks for; empty for the usual.

    Returns:
        Its number, and what to tell the user.

    Raises:
        AmbiguousCheckpoint: none of several is for serving.
        EndpointNotFound: none has the user's tags.
        CorruptIndex: there is no graph.
    """
    known = [frozenset(graph.meta_info_def.tags) for graph in graphs]
    if not known:
        raise CorruptIndex(
            f"{path!r} holds no graph.",
            "Expected a SavedModel with at least one.",
            "Copy the file again from its source.",
        )
    if tags:
        return _with_tags(path, known, frozenset(tags)), []
    if len(known) == 1:
        return 0, []
    for usual in (_SERVING, _UNTAGGED):
        if known.count(usual) == 1:
            place = known.index(usual)
            others = _shown(one for at, one in enumerate(known) if at != place)
            return place, [
                f"The SavedModel holds {len(known)} graphs. The one tagged {_words(usual)} is "
                f"read; --tags names another: {others}."
            ]
    raise AmbiguousCheckpoint(
        f"{path!r} holds {len(known)} graphs, tagged {_shown(known)}.",
        "Expected one of them to be tagged 'serve'.",
        "Say which is meant with --tags, such as --tags train.",
    )


def tags_of(saved_model: SavedModel) -> Tuple[str, ...]:
    """Give the tags of every graph, as they are given to --tags."""
    return tuple(",".join(sorted(graph.meta_info_def.tags)) for graph in saved_model.meta_graphs)


def _with_tags(path: str, known: Sequence[FrozenSet[str]], wanted: FrozenSet[str]) -> int:
    if known.count(wanted) == 1:
        return known.index(wanted)
    happened = "has no graph" if wanted not in known else f"has {known.count(wanted)} graphs"
    raise EndpointNotFound(
        f"{path!r} {happened} tagged {_words(wanted)}.",
        f"Its graphs are tagged {_shown(known)}.",
        "Give all tags of one of these with --tags, or leave it away.",
    )


def _words(tags: FrozenSet[str]) -> str:
    return ",".join(sorted(tags)) if tags else "(nothing)"


def _shown(known: Iterable[FrozenSet[str]]) -> str:
    return "; ".join(map(_words, known))
