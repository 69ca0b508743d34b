"""TensorFlow 1.15's own answer: restores a checkpoint as its authors would, and runs its graph.

Run by the legacy interpreter, on and to .npz files that hold arrays by tensor name:

    python tests/run_tensorflow.py PREFIX INPUTS OUTPUTS TENSOR ... [--variables FILE]

Uses nothing of the project, so that it can judge it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any


def person_feeds(graph: Any, tensors: Sequence[str], fed: Sequence[str]) -> dict[str, Any]:
    """What a person feeds to use a network: not training, and all that dropout could drop kept.

    A default stays what it is, but for a switch that says of itself that it is training's.
    """
    import tensorflow as tf

    wanted = [graph.get_tensor_by_name(tensor).op.name for tensor in tensors]
    feeds: dict[str, Any] = {}
    for node in tf.graph_util.extract_sub_graph(graph.as_graph_def(), wanted).node:
        tensor = graph.get_tensor_by_name(f"{node.name}:0") if "Placeholder" in node.op else None
        if tensor is None or tensor.name in fed:
            continue
        if tensor.dtype == tf.bool and (node.op == "Placeholder" or "train" in node.name):
            feeds[tensor.name] = False
        elif node.op == "Placeholder":
            feeds[tensor.name] = 1.0
    return feeds


def fill(prefix: str, variables: Mapping[str, Any] | None, session: Any) -> None:
    """Give the graph of a checkpoint its variables' values: its own, or others by their names."""
    import tensorflow as tf

    saver = tf.train.import_meta_graph(f"{prefix}.meta", clear_devices=True)
    if variables is None:
        saver.restore(session, prefix)
        return
    by_name = {variable.op.name: variable for variable in tf.global_variables()}
    for name, value in variables.items():
        by_name[name].load(value, session)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("prefix")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    parser.add_argument("tensors", nargs="+")
    parser.add_argument("--variables", help="values to use in place of the checkpoint's")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np
    import tensorflow as tf

    inputs = dict(np.load(arguments.inputs))
    variables = arguments.variables and dict(np.load(arguments.variables))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        fill(arguments.prefix, variables, session)
        feeds = {**person_feeds(graph, arguments.tensors, list(inputs)), **inputs}
        values = session.run({tensor: tensor for tensor in arguments.tensors}, feeds)
    np.savez(arguments.outputs, **values)


if __name__ == "__main__":
    main()
