"""Builds graphs with TensorFlow 1.15 and describes them as an extraction would."""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import tensorflow as tf

from stage_extract.graph.describe import Description, describe
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reader import VariableInfo

# Slots that the optimizers of these tests make; an extraction leaves them out by its own means.
_SLOT = re.compile(r"/(Adam(_1)?|Momentum|RMSProp(_1)?)$|^beta\d_power$|global_step$")


def describe_built(build: Callable[[], Any], **options: Any) -> Mapping[str, Any]:
    """Build a graph, save its MetaGraph, and give graph.json's object."""
    return described(build, **options).to_json()


def described(
    build: Callable[[], Any],
    edit: Callable[[Any], Any] = lambda meta: None,
    signature: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> Description:
    """Build a graph, save its MetaGraph, and describe it.

    Args:
        edit: changes the MetaGraphDef before it is saved.
        signature: tensors that a signature names as "inputs" and "outputs".
        options: of the extraction.
    """
    with tf.Graph().as_default():
        build()
        meta = tf.compat.v1.train.Saver().export_meta_graph()
        for side, tensor in (signature or {}).items():
            getattr(meta.signature_def["serving_default"], side)[side].name = tensor
        edit(meta)
        return describe_meta(meta.SerializeToString(), saved_variables(), **options)


def describe_meta(content: bytes, variables: Sequence[VariableInfo], **options: Any) -> Description:
    """Describe the bytes of a .meta file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.meta")
        with open(path, "wb") as file:
            file.write(content)
        return describe(MetaFile(path), variables, ExtractOptions(**options))


def saved_variables() -> List[VariableInfo]:
    """Give what a checkpoint of the current graph would hold, without optimizer slots."""
    found: Dict[str, VariableInfo] = {}
    for variable in tf.compat.v1.global_variables():
        info = variable._get_save_slice_info()  # TensorFlow offers no public way to ask.
        name = variable.op.name if info is None else info.full_name
        shape = variable.shape.as_list() if info is None else info.full_shape
        if not _SLOT.search(name):
            dtype = variable.dtype.base_dtype.name
            found[name] = VariableInfo(name, dtype, tuple(shape))
    return sorted(found.values())


def tensors(entries: Sequence[Mapping[str, Any]]) -> List[str]:
    """Give the tensor names of a list of endpoints."""
    return [entry["tensor"] for entry in entries]


def switch_values(document: Mapping[str, Any]) -> Dict[str, Any]:
    """Give the switches as {tensor: value}."""
    return {entry["tensor"]: entry["value"] for entry in document["switches"]}


def kinds(document: Mapping[str, Any]) -> List[str]:
    """Give the kinds of the layers in their order."""
    return [layer["kind"] for layer in document["layers"]]


def roles(document: Mapping[str, Any]) -> Dict[str, Any]:
    """Give {variable: role} of every variable."""
    return {entry["name"]: entry["role"] for entry in document["variables"]}


def to_text(document: Mapping[str, Any]) -> str:
    """Give a description as JSON text."""
    return json.dumps(document, default=list, sort_keys=True, allow_nan=False)
