"""Cuts out of a graph what a reference run has to run, in a form that TensorFlow can run here."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import MetaGraph
from stage_extract.reference.channels_last import with_channels_last
from stage_extract.reference.effects import check_effects
from stage_extract.reference.operators import register_ops
from stage_extract.reference.plan import ReferencePlan
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.subgraph import Subgraph, cut_subgraph


def runnable_part(
    meta: MetaGraph, plan: ReferencePlan, tensors: Sequence[str]
) -> Tuple[Subgraph, Optional[str]]:
    """Cut out what has to run: as it was saved, with all branches, wherever that is possible.

    A tf.cond waits for everything that either branch reads. Where that is a queue, or a placeholder
    that nobody feeds, the branches that inference does not take are left out.

    Args:
        meta: the whole graph.
        plan: what is fed, and what is substituted.
        tensors: what is computed.

    Returns:
        The part, and why branches had to be left out; None if they are in.

    Raises:
        ReferenceUnavailable: it cannot be run.
    """
    try:
        return _part(meta, plan, tensors, plan.substitutions), None
    except ReferenceUnavailable as error:
        if not plan.branches:
            raise
        return _part(meta, plan, tensors, {**plan.branches, **plan.substitutions}), str(error)


def _part(
    meta: MetaGraph, plan: ReferencePlan, tensors: Sequence[str], substitutions: Mapping[str, str]
) -> Subgraph:
    subgraph = cut_subgraph(meta, plan.feed_dtypes, tensors, substitutions)
    refused = next((node for node in subgraph.graph if node.name in meta.refused), None)
    if refused is not None:
        raise ReferenceUnavailable(
            f"node '{refused.name}' (op {refused.op}) cannot be run: {meta.refused[refused.name]}"
        )
    register_ops(subgraph.graph_def)
    check_effects(subgraph.graph_def)
    return with_channels_last(subgraph)
