"""How a process and its sessions are set up so that equal input gives equal bytes on every machine.

Each op by its own kernel and one op after the other, a number of threads that does not follow the
number of cores (a matrix product splits its sums by it), and no matrix kernels chosen by the
processor's vector instructions. Where a kernel's result depends on which of its threads comes
first, there is one thread.
"""

from __future__ import annotations

import os
from typing import Any, Optional

import tensorflow
from tensorflow.core.protobuf import rewriter_config_pb2

THREADS = 8
# Of TensorFlow 1.15's kernels for CPUs that a saved network can hold, those whose threads write to
# the same place: weights are added up a thread, and threads hold other parts each time; gradients
# of boxes that overlap are added without a lock; of the rows with one index, the last one stays.
RACING_OPS = frozenset(("Bincount", "CropAndResizeGradImage", "ParallelDynamicStitch"))
_PROCESS_SETTINGS = {
    # Eigen's switch for the kernels of MKL-DNN, read when the process's first contraction runs.
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "false",
    # Read when its first session opens. Else all share that one's threads, whatever their own
    # configurations say.
    "TF_OVERRIDE_GLOBAL_THREADPOOL": "1",
}

_compat = tensorflow.compat.v1


def settle_process() -> None:
    """Set TensorFlow's libraries up; before the process's first session."""
    os.environ.update(_PROCESS_SETTINGS)


def racing_node(graph_def: Any) -> Optional[str]:
    """Name the first node, in functions too, whose result depends on the order of its threads."""
    bodies = (graph_def.node, *(one.node_def for one in graph_def.library.function))
    racing = (node for body in bodies for node in body if node.op in RACING_OPS)
    return next((f"'{node.name}' (op {node.op})" for node in racing), None)


def session_config(graph_def: Any) -> Any:
    """Give the configuration of a session that runs a graph."""
    return _compat.ConfigProto(
        device_count={"GPU": 0},
        intra_op_parallelism_threads=THREADS if racing_node(graph_def) is None else 1,
        inter_op_parallelism_threads=1,
        use_per_session_threads=True,
        graph_options=_compat.GraphOptions(
            optimizer_options=_compat.OptimizerOptions(opt_level=_compat.OptimizerOptions.L0),
            rewrite_options=rewriter_config_pb2.RewriterConfig(disable_meta_optimizer=True),
        ),
    )
