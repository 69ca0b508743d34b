"""Compares a graph whose functions were written out with the graph as it was saved.

TensorFlow runs both, with the same kernels, so that they agree bit for bit unless something was
written out wrongly.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import numpy

from stage_extract.graph.graphdef import Graph, MetaGraph, node_name
from stage_extract.graph.moving_statistics import with_moving_averages
from stage_extract.reference.filling import Filler
from stage_extract.reference.plan import ReferencePlan
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.runnable import runnable_part
from stage_extract.reference.session import ImportedGraph, ReferenceSession, RunFailed
from stage_extract.reference.variables import variable_sources

# Of the largest value: what another order of the same additions changes in single precision.
TOLERANCE = 1e-5


def difference_from_original(
    meta: MetaGraph,
    filler: Filler,
    plan: ReferencePlan,
    prefer_ema: bool,
    feeds: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> Optional[str]:
    """Run the graph as it was saved, and compare its outputs.

    Args:
        meta: the graph, with its functions written out.
        filler: gives the variables their values.
        plan: what was fed and fetched.
        prefer_ema: variables were filled with their moving averages, where there are any.
        feeds: the values that were fed, by name.
        outputs: what the graph without functions computed, by name.

    Returns:
        Why no comparison was possible; None if both agree.

    Raises:
        ReferenceUnavailable: they differ.
    """
    original = meta.original or meta.graph
    names = _original_names(meta, original, plan)
    missing = [tensor for tensor in (*feeds, *outputs) if tensor not in names]
    changed = (*plan.batch_norms, *map(node_name, plan.substitutions))
    missing += [name for name in changed if name not in original]
    if missing:
        return f"'{missing[0]}' lies inside a function"
    saved = with_moving_averages(meta._replace(graph=original), plan.batch_norms)
    try:
        part, _ = runnable_part(saved, plan, [names[tensor] for tensor in outputs])
        sources = variable_sources(meta, part.graph, filler.variables(), prefer_ema)
        with ReferenceSession(ImportedGraph(part), sources, filler, ()) as session:
            found = session.fetch(feeds, [names[tensor] for tensor in outputs])
    except (ReferenceUnavailable, RunFailed) as error:
        return str(error)
    for tensor, value in outputs.items():
        if not _agree(value, found[names[tensor]]):
            raise ReferenceUnavailable(
                f"'{tensor}' is another one in the graph as it was saved than in the graph with "
                f"its functions written out"
            )
    return None


def _original_names(meta: MetaGraph, original: Graph, plan: ReferencePlan) -> Dict[str, str]:
    """Give, for what is fed and fetched, its name in the saved graph, where it has one."""
    before = {tensor: call for call, tensor in meta.renamed.items()}
    tensors: List[str] = [*plan.outputs, *plan.feed_dtypes]
    named = {tensor: before.get(tensor, tensor) for tensor in tensors}
    return {tensor: name for tensor, name in named.items() if original.has_tensor(name)}


def _agree(value: Any, other: Any) -> bool:
    if value.shape != other.shape or value.dtype != other.dtype:
        return False
    if value.dtype.kind not in "fc":
        return bool(numpy.array_equal(value, other))
    scale = numpy.abs(value[numpy.isfinite(value)]).max(initial=0.0)
    return bool(numpy.allclose(value, other, rtol=0, atol=TOLERANCE * scale, equal_nan=True))
