"""Session bundles: checkpoints called "export" whose graph carries signatures."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Optional

from stage_extract.graph.graphdef import GraphUnreadable
from stage_extract.graph.serving_signatures import COLLECTION
from stage_extract.source import Source

FORMAT = "session bundle"
_NAME = "export"
_ASSETS = "serving_assets"
_LOADING_OP = "serving_init_op"


def as_session_bundle(source: Source) -> Source:
    """Tell a session bundle from a checkpoint that is only called so, and name its step.

    Its folder is called by the step ("00000123"); export.meta holds the signatures, which the
    description of any graph reads.
    """
    if os.path.basename(source.prefix) != _NAME or source.graph is None:
        return source
    try:
        collections = source.graph.parse().proto.collection_def
    except GraphUnreadable:
        # The description says it.
        return source
    if COLLECTION not in collections:
        return source
    warnings = list(source.warnings)
    if _ASSETS in collections:
        warnings.append("The graph reads files of `assets`: no variables, they stay out.")
    if _LOADING_OP in collections:
        names = ", ".join(map(repr, collections[_LOADING_OP].node_list.value))
        warnings.append(
            f"TensorFlow runs {names} when it loads the graph ({_LOADING_OP}), to fill tables for "
            "instance; this is not done here."
        )
    step = source.step if source.step is not None else _step_of(source.prefix)
    return replace(source, format=FORMAT, step=step, warnings=tuple(warnings))


def _step_of(prefix: str) -> Optional[int]:
    folder = os.path.basename(os.path.dirname(os.path.abspath(prefix)))
    return int(folder) if folder.isdigit() and folder.isascii() else None
