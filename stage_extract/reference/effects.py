"""Refuses to run what reaches outside the graph: files, queues, devices, the network.

A graph is a program, and one that nobody here has written. What a network computes with needs none
of that, so only ops that are known to stay inside are run.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from tensorflow.python.framework import op_def_registry

from stage_extract.reference.called import called_functions
from stage_extract.reference.result import ReferenceUnavailable

# TensorFlow calls these stateless, though they read or write files.
_STATELESS_FILE_OPS = frozenset(
    (
        "CacheDataset",
        "GenerateVocabRemapping",
        "InitializeTableFromTextFile",
        "MatchingFiles",
        "ReadFile",
        "RemoteFusedGraphExecute",
        "SnapshotDataset",
    )
)
# Stateful ops whose state is a variable, a table, a loop's array or a random generator.
_INNER_STATE_OPS = frozenset(
    (
        "Assert",
        "Case",
        "CheckNumerics",
        "DeepCopy",
        "Empty",
        "GuaranteeConst",
        "If",
        "LookupTableExportV2",
        "LookupTableFindV2",
        "LookupTableSizeV2",
        "Multinomial",
        "NonDeterministicInts",
        "ParameterizedTruncatedNormal",
        "Print",
        "PrintV2",
        "ReadVariableOp",
        "RngSkip",
        "StatefulPartitionedCall",
        "TemporaryVariable",
        "TensorListResize",
        "TruncatedNormal",
        "VarHandleOp",
        "VarIsInitializedOp",
        "Variable",
        "VariableShape",
        "VariableV2",
        "While",
    )
)
_INNER_STATE_PREFIXES = (
    "Assign",
    "CudnnRNN",
    "HashTable",
    "MutableDenseHashTable",
    "MutableHashTable",
    "Random",
    "Resource",
    "SampleDistortedBoundingBox",
    "Stack",
    "StatefulRandom",
    "StatefulStandard",
    "StatefulTruncated",
    "StatefulUniform",
    "TensorArray",
)
_INNER_STATE_SUFFIX = "CandidateSampler"
# PrintV2 can also append to a file.
_PRINT_STREAMS = frozenset((b"log(error)", b"log(info)", b"log(warning)", b"stderr", b"stdout"))


def check_effects(graph_def: Any) -> None:
    """Make sure that running a graph changes and reads nothing but the graph's own state.

    Args:
        graph_def: the nodes that will run, with their library of functions.

    Raises:
        ReferenceUnavailable: an op reaches outside, or it is not known whether it does.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    for node in _running_nodes(graph_def, functions):
        if node.op not in functions and not stays_inside(node):
            raise ReferenceUnavailable(
                f"node '{node.name}' (op {node.op}) may read or write outside the graph, such as "
                "files or queues, and the reference run does not do that"
            )


def _running_nodes(graph_def: Any, functions: Mapping[str, Any]) -> Iterator[Any]:
    """Give the nodes of a graph and of every function that they may call."""
    yield from graph_def.node
    for name in called_functions(graph_def.node, functions):
        yield from functions[name].node_def


def stays_inside(node: Any) -> bool:
    """Tell whether one op is known to read and write nothing but the graph's own state."""
    definition = op_def_registry.get_registered_ops().get(node.op)
    if definition is None or node.op in _STATELESS_FILE_OPS:
        return False
    if node.op == "PrintV2" and node.attr["output_stream"].s not in {b"", *_PRINT_STREAMS}:
        return False
    return (
        not definition.is_stateful
        or node.op in _INNER_STATE_OPS
        or node.op.startswith(_INNER_STATE_PREFIXES)
        or node.op.endswith(_INNER_STATE_SUFFIX)
    )
