"""Which of a SavedModel's signatures says what the inputs and outputs are."""

from __future__ import annotations

from typing import List, Optional, Set, Tuple

from stage_extract.errors import EndpointNotFound
from stage_extract.graph.attributes import dtype_name
from stage_extract.graph.graphdef import node_name, tensor_name
from stage_extract.messages import MetaGraphDef, SignatureDef

# tensorflow/python/saved_model/signature_constants.py: DEFAULT_SERVING_SIGNATURE_DEF_KEY.
_DEFAULT = "serving_default"
# What TensorFlow 2 keeps for itself among the signatures: "__saved_model_init_op" …
_INTERNAL_START = "__saved_model"


def choose_signature(
    path: str, meta: MetaGraphDef, wanted: Optional[str]
) -> Tuple[Optional[str], List[str]]:
    """Choose the user's signature, the default one, the only one, or the first by name.

    Args:
        path: saved_model.pb.
        meta: the chosen graph.
        wanted: what the user asks for.

    Returns:
        Its name, None if there is none; and what to tell the user.

    Raises:
        EndpointNotFound: there is no signature of that name.
    """
    names = signature_names(meta)
    if wanted is not None:
        if wanted not in names:
            raise EndpointNotFound(
                f"{path!r} has no signature {wanted!r}.",
                f"Its signatures are {', '.join(names) or 'none at all'}.",
                "Give one of these with --signature, or leave it away.",
            )
        return wanted, _missing_tensors(meta, wanted)
    if not names:
        return None, []
    chosen = _DEFAULT if _DEFAULT in names else names[0]
    said = _missing_tensors(meta, chosen)
    if len(names) > 1 and chosen != _DEFAULT:
        said.append(
            f"None of the signatures {', '.join(names)} is called {_DEFAULT!r}: {chosen!r} says "
            "what the inputs and outputs are; --signature names another."
        )
    return chosen, said


def signature_names(meta: MetaGraphDef) -> Tuple[str, ...]:
    """Give the names of a graph's signatures, sorted."""
    return tuple(
        sorted(name for name in meta.signature_def if not name.startswith(_INTERNAL_START))
    )


def numeric_outputs(signature: SignatureDef) -> Tuple[str, ...]:
    """Give the outputs of a signature that are no texts, sorted by their names in it."""
    infos = (signature.outputs[key] for key in sorted(signature.outputs))
    return tuple(
        tensor_name(info.name) for info in infos if info.name and dtype_name(info.dtype) != "string"
    )


def _missing_tensors(meta: MetaGraphDef, name: str) -> List[str]:
    """Tell what a signature names that the graph does not have."""
    nodes: Set[str] = {node.name for node in meta.graph_def.node}
    signature = meta.signature_def[name]
    return [
        f"The signature {name!r} calls {info.name!r} its {role} {key!r}, but the graph has no such "
        "tensor."
        for role, infos in (("input", signature.inputs), ("output", signature.outputs))
        for key, info in sorted(infos.items())
        if info.name and node_name(tensor_name(info.name)) not in nodes
    ]
