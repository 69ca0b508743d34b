"""What a graph's author said about its inputs and outputs: signatures and named collections.

Texts are left aside: a signature may take whole records to parse, and give the names of classes;
the network lies between the numbers.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple

from stage_extract.graph.attributes import dtype_name
from stage_extract.graph.dtypes import output_dtype
from stage_extract.graph.graphdef import MetaGraph, output_index
from stage_extract.graph.serving_signatures import bundle_signatures

_DEFAULT_SIGNATURE = "serving_default"
# Collections that TensorFlow itself fills (tf.GraphKeys, estimators, slim).
_OWN_COLLECTION = re.compile(
    r"variables$|^(losses|regularization_losses|summaries|train_op|update_ops|init_op|ready_op"
    r"|local_init_op|ready_for_local_init_op|saver|savers|queue_runners|table_initializer|cond_context"
    r"|while_context|global_step|global_step_read_op_cache|summary_op|asset_filepaths|activations"
    r"|biases|weights|moving_average_variables|eval_step|model_variables|__.*|.*_loss(es)?)$"
)
_OUTPUT_WORD = re.compile(
    r"(^|_)(pred\w*|logits?|outputs?|prob\w*|scores?|result|softmax|infer\w*|y_hat|yhat)(_|\d|$)",
    re.I,
)


class Hints(NamedTuple):
    """Tensors that the author named.

    Attributes:
        inputs: tensor -> where it is named so.
        outputs: tensor -> where it is named so.
        is_signed: a signature names the outputs; a collection may hold anything.
    """

    inputs: Dict[str, str]
    outputs: Dict[str, str]
    is_signed: bool = False


def find_hints(meta: MetaGraph) -> Hints:
    """Read the signature (the default one first) and the collections named like outputs."""
    hints = Hints({}, {})
    signatures = meta.proto.signature_def
    keys = sorted(signatures, key=lambda key: (key != _DEFAULT_SIGNATURE, key))
    keys = [key for key in keys if signatures[key].outputs]
    for key in keys[:1]:
        where = f"signature {key!r}"
        _read_endpoints(meta, _named(signatures[key].inputs), where, hints.inputs)
        _read_endpoints(meta, _named(signatures[key].outputs), where, hints.outputs)
    if not hints.outputs:
        for bundle in bundle_signatures(meta.proto.collection_def)[:1]:
            _read_endpoints(meta, bundle.inputs, "signatures of the session bundle", hints.inputs)
            _read_endpoints(meta, bundle.outputs, "signatures of the session bundle", hints.outputs)
    if hints.outputs:
        return hints._replace(is_signed=True)
    for tensor, where in _collected(meta).items():
        hints.outputs[tensor] = where
    return hints


def _named(infos: Mapping[str, Any]) -> Dict[str, str]:
    return {key: info.name for key, info in infos.items() if dtype_name(info.dtype) != "string"}


def _read_endpoints(
    meta: MetaGraph, named: Mapping[str, str], where: str, found: Dict[str, str]
) -> None:
    for key in sorted(named):
        tensor = meta.tensor(named[key])
        node = meta.graph.producer(tensor) if named[key] else None
        if node is not None and output_dtype(node, output_index(tensor)) != "string":
            found.setdefault(tensor, f"{key!r} of the {where}")


def _collected(meta: MetaGraph) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for key in sorted(meta.proto.collection_def):
        if not _OWN_COLLECTION.search(key) and _OUTPUT_WORD.search(key):
            for tensor in _tensors(meta, key):
                found.setdefault(tensor, f"the collection {key!r}")
    return found


def _tensors(meta: MetaGraph, key: str) -> List[str]:
    names = meta.proto.collection_def[key].node_list.value
    tensors = [meta.tensor(name) for name in names]
    return [tensor for tensor in tensors if meta.graph.producer(tensor) is not None]
