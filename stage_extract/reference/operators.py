"""Finds the ops that this TensorFlow does not know; contrib's are registered only for them."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any, Dict, FrozenSet

from tensorflow.python.framework import c_api_util

from stage_extract.reference.result import ReferenceUnavailable

# These call a function of the Python process that built the graph: it is not in any file.
PYTHON_CALL_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
# cuDNN's recurrent layers, all of whose ops begin so, have kernels for GPUs alone.
_GPU_OPS_PREFIX = "CudnnRNN"


def unregistered_ops(graph_def: Any) -> Dict[str, str]:
    """Give the first node of each op type that is neither registered nor a function."""
    functions = {function.signature.name for function in graph_def.library.function}
    known = _registered_ops() | functions
    unknown: Dict[str, str] = {}
    for node in graph_def.node:
        if node.op not in known:
            unknown.setdefault(node.op, node.name)
    for function in graph_def.library.function:
        for node in function.node_def:
            if node.op not in known:
                unknown.setdefault(node.op, f"{function.signature.name}/{node.name}")
    return unknown


@lru_cache(maxsize=1)
def _registered_ops() -> FrozenSet[str]:
    # TensorFlow writes out the definitions of all its ops to answer that, a tenth of a second.
    return frozenset(c_api_util.ApiDefMap().op_names())


def register_ops(graph_def: Any) -> None:
    """Make sure that every op of a graph is registered.

    `tensorflow.contrib` registers its ops when it is imported, which takes seconds: only done for a
    graph that has an op which TensorFlow itself lacks.

    Raises:
        ReferenceUnavailable: an op is not part of TensorFlow, needs a GPU, or calls back into
            Python.
    """
    for node in graph_def.node:
        if node.op in PYTHON_CALL_OPS:
            raise ReferenceUnavailable(
                f"node '{node.name}' (op {node.op}) calls a Python function of the program that "
                f"built the graph, and a checkpoint does not hold it"
            )
        if node.op.startswith(_GPU_OPS_PREFIX):
            raise ReferenceUnavailable(
                f"node '{node.name}' (op {node.op}) runs on GPUs alone, and the reference run has "
                f"none: today's GPUs do not run TensorFlow 1.15"
            )
    if not unregistered_ops(graph_def):
        return
    # The name alone stands for a lazy module; asking for its contents loads it.
    dir(importlib.import_module("tensorflow.contrib"))
    _registered_ops.cache_clear()
    unknown = unregistered_ops(graph_def)
    if unknown:
        named = ", ".join(f"op {op} (node '{name}')" for op, name in sorted(unknown.items()))
        raise ReferenceUnavailable(
            f"the graph needs {named}, which is not part of TensorFlow and its contrib; "
            f"a custom op's library is not stored in a checkpoint"
        )
