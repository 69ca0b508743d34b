"""The messages that files of variables are made of; ours where this process reads by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage_extract.reader_choice import reads_by_itself

if TYPE_CHECKING or reads_by_itself():
    from stage_extract.messages.pure import (
        BundleEntryProto,
        BundleHeaderProto,
        DecodeError,
        SavedSlice,
        SavedSliceMeta,
        SavedTensorSliceMeta,
        SavedTensorSlices,
        TensorSliceProto,
    )
else:
    from stage_extract.messages.native import (
        BundleEntryProto,
        BundleHeaderProto,
        DecodeError,
        SavedSlice,
        SavedSliceMeta,
        SavedTensorSliceMeta,
        SavedTensorSlices,
        TensorSliceProto,
    )

__all__ = [
    "BundleEntryProto",
    "BundleHeaderProto",
    "DecodeError",
    "SavedSlice",
    "SavedSliceMeta",
    "SavedTensorSliceMeta",
    "SavedTensorSlices",
    "TensorSliceProto",
]
