"""Protocol buffers of TensorFlow 1.15: its own classes in a process that runs it, else ours.

Both have the same names and, as far as this stage uses them, the same behaviour. A message comes
from `ParseFromString`, which raises `DecodeError`, or from `parse_text`, which raises `TextError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage_extract.messages.either import numbers, view
from stage_extract.messages.text_format import parse_text
from stage_extract.messages.tokens import TextError
from stage_extract.reader_choice import is_pure

# TensorFlow has no types to check against: ours stand for both.
if TYPE_CHECKING or is_pure():
    from stage_extract.messages.pure import (
        AssetFileDef,
        AttrValue,
        BundleEntryProto,
        BundleHeaderProto,
        CheckpointState,
        CollectionDef,
        CondContextDef,
        DecodeError,
        FunctionDef,
        FunctionDefLibrary,
        GraphDef,
        MetaGraphDef,
        NameAttrList,
        NodeDef,
        OpDef,
        OpList,
        SavedModel,
        SavedObjectGraph,
        SavedSlice,
        SavedSliceMeta,
        SavedTensorSliceMeta,
        SavedTensorSlices,
        SaverDef,
        SaveSliceInfoDef,
        SignatureDef,
        TensorInfo,
        TensorProto,
        TensorShapeProto,
        TensorSliceProto,
        TrackableObjectGraph,
        VariableDef,
        VersionDef,
        WhileContextDef,
    )
else:
    from stage_extract.messages.native import (
        AssetFileDef,
        AttrValue,
        BundleEntryProto,
        BundleHeaderProto,
        CheckpointState,
        CollectionDef,
        CondContextDef,
        DecodeError,
        FunctionDef,
        FunctionDefLibrary,
        GraphDef,
        MetaGraphDef,
        NameAttrList,
        NodeDef,
        OpDef,
        OpList,
        SavedModel,
        SavedObjectGraph,
        SavedSlice,
        SavedSliceMeta,
        SavedTensorSliceMeta,
        SavedTensorSlices,
        SaverDef,
        SaveSliceInfoDef,
        SignatureDef,
        TensorInfo,
        TensorProto,
        TensorShapeProto,
        TensorSliceProto,
        TrackableObjectGraph,
        VariableDef,
        VersionDef,
        WhileContextDef,
    )

__all__ = [
    "AssetFileDef",
    "AttrValue",
    "BundleEntryProto",
    "BundleHeaderProto",
    "CheckpointState",
    "CollectionDef",
    "CondContextDef",
    "DecodeError",
    "FunctionDef",
    "FunctionDefLibrary",
    "GraphDef",
    "MetaGraphDef",
    "NameAttrList",
    "NodeDef",
    "OpDef",
    "OpList",
    "SaveSliceInfoDef",
    "SavedModel",
    "SavedObjectGraph",
    "SavedSlice",
    "SavedSliceMeta",
    "SavedTensorSliceMeta",
    "SavedTensorSlices",
    "SaverDef",
    "SignatureDef",
    "TensorInfo",
    "TensorProto",
    "TensorShapeProto",
    "TensorSliceProto",
    "TextError",
    "TrackableObjectGraph",
    "VariableDef",
    "VersionDef",
    "WhileContextDef",
    "numbers",
    "parse_text",
    "view",
]
