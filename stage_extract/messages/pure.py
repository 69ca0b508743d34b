"""The messages in pure Python, for a process without TensorFlow."""

from __future__ import annotations

from typing import ClassVar

from stage_extract.messages.accessors import CLASSES
from stage_extract.messages.message import Message
from stage_extract.messages.schema import TABLES
from stage_extract.messages.tables import ENUMS
from stage_extract.messages.wire import DecodeError

__all__ = ["DecodeError"]


class AssetFileDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class AttrValue(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class BundleEntryProto(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class BundleHeaderProto(Message):
    """See its lines in `tables`."""

    __slots__ = ()
    LITTLE: ClassVar[int]
    BIG: ClassVar[int]


class CheckpointState(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class CollectionDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class CondContextDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class FunctionDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class FunctionDefLibrary(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class GraphDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class MetaGraphDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class NameAttrList(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class NodeDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class OpDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class OpList(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SaveSliceInfoDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedModel(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedObjectGraph(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedSlice(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedSliceMeta(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedTensorSliceMeta(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SavedTensorSlices(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SaverDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class SignatureDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class TensorInfo(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class TensorProto(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class TensorShapeProto(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class TensorSliceProto(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class TrackableObjectGraph(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class VariableDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class VersionDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


class WhileContextDef(Message):
    """See its lines in `tables`."""

    __slots__ = ()


def _complete() -> None:
    """Make the other classes; nested ones and the values of nested enums lie in their messages."""
    for name in TABLES:
        if name not in CLASSES:
            type(name, (Message,), {"__slots__": ()}, table=name)
    for name in TABLES:
        owner, _, nested = name.rpartition(".")
        if owner in CLASSES and nested != "entry":
            setattr(CLASSES[owner], nested, CLASSES[name])
    for name, values in ENUMS.items():
        for value, number in values.items():
            if "." in name:
                setattr(CLASSES[name.rpartition(".")[0]], value, number)


_complete()
