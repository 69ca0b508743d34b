"""SavedModels: a folder with graphs in saved_model.pb, and their variables as a V2 checkpoint."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import List, Optional, Sequence, Set, Tuple

from stage_extract.errors import DataFileMissing, NoCheckpointFound
from stage_extract.finding.checkpoint_names import INDEX_SUFFIX
from stage_extract.finding.located import Located
from stage_extract.formats.frozen_graph import open_frozen
from stage_extract.formats.meta_graph_choice import choose_meta_graph, tags_of
from stage_extract.formats.model_files import read_message
from stage_extract.formats.signatures import choose_signature, numeric_outputs, signature_names
from stage_extract.formats.v2 import open_v2
from stage_extract.graph.graphdef import MetaGraph, node_name, tensor_name, to_meta_graph
from stage_extract.graph.savers import VARIABLE_OPS
from stage_extract.jobs import ExtractOptions
from stage_extract.messages import AssetFileDef, MetaGraphDef, SavedModel
from stage_extract.source import Choice, GraphFile, Source

FORMAT = "SavedModel"
FILE_NAMES = ("saved_model.pb", "saved_model.pbtxt")
_ASSETS = "saved_model_assets"
# Collections that name what TensorFlow runs when it loads the graph.
_LOADING_OPS = ("legacy_init_op", "saved_model_main_op")


class SavedModelFile(GraphFile):
    """One of the graphs of a SavedModel, with no signature but the one that was chosen.

    Args:
        path: saved_model.pb or saved_model.pbtxt.
        place: number of the graph in it.
        signature: name of the signature; None for none.
    """

    kind = "saved_model"
    words = "the SavedModel's graph"

    def __init__(self, path: str, place: int, signature: Optional[str]) -> None:
        self._path = path
        self._place = place
        self._signature = signature

    def parse(self) -> MetaGraph:
        """Read the graph (see `GraphFile.parse`)."""
        proto = MetaGraphDef()
        proto.CopyFrom(read_message(self._path, SavedModel()).meta_graphs[self._place])
        for name in list(proto.signature_def):
            if name != self._signature:
                del proto.signature_def[name]
        return to_meta_graph(proto)


def open_saved_model(located: Located, options: ExtractOptions) -> Source:
    """Choose the graph and the signature of a SavedModel, and check the files of its variables.

    Args:
        located: its folder, or its file.

    Raises:
        AmbiguousCheckpoint: several graphs, and none is the one for serving.
        EndpointNotFound: it has no graph with those tags, or no signature of that name.
        CorruptIndex: saved_model.pb is none.
        DataFileMissing: its graph has variables, but there is no file with their values.
        GitLfsPointer, TruncatedData, NotReadable and others: as for a V2 checkpoint.
    """
    path = find_file(located.prefix)
    folder = os.path.dirname(path) or "."
    saved_model = read_message(path, SavedModel())
    place, warnings = choose_meta_graph(path, saved_model.meta_graphs, options.tags)
    meta = saved_model.meta_graphs[place]
    signature, said = choose_signature(path, meta, options.signature)
    graph = SavedModelFile(path, place, signature)
    outputs: Tuple[str, ...] = ()
    if options.signature is not None:
        outputs = numeric_outputs(meta.signature_def[options.signature])
    warnings += [*said, *_asset_warnings(meta), *_loading_warnings(meta)]
    variables = os.path.join(folder, "variables", "variables")
    if os.path.lexists(variables + INDEX_SUFFIX):
        source = replace(open_v2(Located(variables, located.step, ()), options), graph=graph)
    elif _has_variables(meta):
        raise DataFileMissing(
            f"The graph of {path!r} has variables, but {variables + INDEX_SUFFIX!r} is missing.",
            "Expected a folder `variables` with variables.index and variables.data-… beside it.",
            "Copy the whole folder from where the SavedModel comes from.",
        )
    else:
        source = open_frozen(Located(path, located.step, ()), graph)
    return replace(
        source,
        format=FORMAT,
        prefix=folder,
        paths=(path, *(one for one in source.paths if one != path)),
        outputs=outputs,
        choices=(
            Choice("--tags", ",".join(sorted(meta.meta_info_def.tags)), tags_of(saved_model)),
            Choice("--signature", signature, signature_names(meta)),
        ),
        warnings=(*warnings, *source.warnings),
    )


def find_file(path: str) -> str:
    """Give the file of a SavedModel that is given by its folder or its file.

    Raises:
        NoCheckpointFound: the folder holds none.
    """
    if os.path.isfile(path):
        return path
    for name in FILE_NAMES:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise NoCheckpointFound(
        f"The folder {path!r} holds no SavedModel.",
        f"Expected {' or '.join(FILE_NAMES)} in it.",
        "Give the folder of the SavedModel.",
    )


def _has_variables(meta: MetaGraphDef) -> bool:
    functions = (function.node_def for function in meta.graph_def.library.function)
    return any(
        node.op in VARIABLE_OPS for nodes in (meta.graph_def.node, *functions) for node in nodes
    )


def _asset_warnings(meta: MetaGraphDef) -> List[str]:
    assets = list(meta.asset_file_def)
    if not assets and _ASSETS in meta.collection_def:
        # TensorFlow before 1.13 kept them in a collection alone.
        for entry in meta.collection_def[_ASSETS].any_list.value:
            assets.append(AssetFileDef.FromString(entry.value))
    if not assets:
        return []
    names = ", ".join(repr(asset.filename) for asset in assets)
    return [f"The graph reads {names} in `assets`: no variables, they stay out of the export."]


def _loading_warnings(meta: MetaGraphDef) -> List[str]:
    return [
        f"TensorFlow runs {', '.join(map(repr, nodes))} when it loads the graph ({key}), to fill "
        "tables for instance; this is not done here."
        for key in _LOADING_OPS
        if key in meta.collection_def
        for nodes in [list(meta.collection_def[key].node_list.value)]
        if _does_something(meta, nodes)
    ]


def _does_something(meta: MetaGraphDef, names: Sequence[str]) -> bool:
    """Tell whether running some nodes runs more than NoOp: estimators group even nothing."""
    nodes = {node.name: node for node in meta.graph_def.node}
    pending = [node_name(tensor_name(name)) for name in names]
    seen: Set[str] = set()
    while pending:
        name = pending.pop()
        node = nodes.get(name)
        if node is None or name in seen:
            continue
        if node.op != "NoOp":
            return True
        seen.add(name)
        pending.extend(one.lstrip("^") for one in node.input)
    return False
