"""Signatures of session bundles, TensorFlow's exports before the SavedModel.

They lie in a collection, as messages of tensorflow/contrib/session_bundle/manifest.proto. Its few
fields are decoded by hand: importing TensorFlow's contrib for them takes seconds.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from stage_extract.messages.wire import LENGTH, WIRE_TYPE_BITS, DecodeError, read_fields

COLLECTION = "serving_signatures"
_Message = bytes

# Signatures: default_signature = 1, named_signatures = 2 (a map: key = 1, value = 2).
_DEFAULT, _NAMED = 1, 2
_KEY, _VALUE = 1, 2
# Signature: one of regression = 1, classification = 2, generic = 3 (whose map of tensors is 1).
_REGRESSION, _CLASSIFICATION, _GENERIC = 1, 2, 3
# RegressionSignature: input = 1, output = 2. ClassificationSignature: input, classes, scores.
_ROLES = {
    _REGRESSION: {1: "input", 2: "output"},
    _CLASSIFICATION: {1: "input", 2: "classes", 3: "scores"},
}
# The pair of names for a signature of more than one input or output.
_INPUTS, _OUTPUTS = "inputs", "outputs"


class BundleSignature(NamedTuple):
    """Tensors that a session bundle names.

    Attributes:
        inputs: name in the signature -> tensor.
        outputs: likewise.
    """

    inputs: Dict[str, str]
    outputs: Dict[str, str]


def bundle_signatures(collections: Any) -> List[BundleSignature]:
    """Read the signatures of a graph, best first; none if it is of no session bundle.

    The named "inputs" and "outputs" come first: the default signature may take whole records.

    Args:
        collections: the MetaGraphDef's collection_def.
    """
    if COLLECTION not in collections:
        return []
    try:
        entries = collections[COLLECTION].any_list.value
        return [one for entry in entries for one in _signatures(bytes(entry.value))]
    except DecodeError:
        return []


def _signatures(content: _Message) -> Iterator[BundleSignature]:
    named = dict(_entry(part) for number, part in _parts(content) if number == _NAMED)
    inputs, outputs = _tensors(named.get(_INPUTS)), _tensors(named.get(_OUTPUTS))
    if outputs:
        yield BundleSignature(inputs, outputs)
    for number, part in _parts(content):
        if number == _DEFAULT:
            tensors = _tensors(part)
            yield BundleSignature(
                {name: one for name, one in tensors.items() if name == "input"},
                {name: one for name, one in tensors.items() if name != "input"},
            )


def _tensors(signature: Optional[_Message]) -> Dict[str, str]:
    """Give the tensors of one Signature by their names or roles in it."""
    found: Dict[str, str] = {}
    for kind, content in _parts(signature or b""):
        for number, part in _parts(content):
            if kind == _GENERIC:
                name, binding = _entry(part)
                found[name] = _text(binding)
            elif number in _ROLES.get(kind, {}):
                found[_ROLES[kind][number]] = _text(part)
    return found


def _entry(content: _Message) -> Tuple[str, _Message]:
    parts = dict(_parts(content))
    return parts.get(_KEY, b"").decode("utf-8", "replace"), parts.get(_VALUE, b"")


def _text(binding: _Message) -> str:
    """Give the tensor of a TensorBinding."""
    return dict(_parts(binding)).get(1, b"").decode("utf-8", "replace")


def _parts(content: _Message) -> Iterator[Tuple[int, _Message]]:
    """Give the fields that are texts or messages, with their numbers."""
    for tag, start, stop in read_fields(content, 0, len(content)):
        if tag & (2**WIRE_TYPE_BITS - 1) == LENGTH:
            yield tag >> WIRE_TYPE_BITS, content[start:stop]
