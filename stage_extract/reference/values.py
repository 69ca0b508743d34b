"""What is asked of values whatever their type: their bytes, a digest, whether they are finite."""

from __future__ import annotations

import hashlib
from typing import Any, Tuple

import numpy

_WHOLE_KINDS = "biu"
_NUMPY_KINDS = "fc"
_DIGEST_SIZE_BYTES = 16


def is_finite(values: Any) -> bool:
    """Tell whether an array holds neither NaN nor infinity."""
    if values.dtype.kind in _WHOLE_KINDS:
        return True
    if values.dtype.kind not in _NUMPY_KINDS:
        # TensorFlow's bfloat16, which numpy's functions do not know.
        values = values.astype(numpy.float32)
    return bool(numpy.isfinite(values).all())


def as_bytes(values: Any) -> memoryview:
    """Give an array's bytes in row-major order; the array must hold an element."""
    view: memoryview = numpy.ascontiguousarray(values).reshape(-1).view(numpy.uint8).data
    return view


def digest(values: Any) -> Tuple[Tuple[int, ...], bytes]:
    """Give what tells two values apart without holding both; as bytes, NaN is equal to itself."""
    content = as_bytes(values) if values.size else b""
    return values.shape, hashlib.blake2b(content, digest_size=_DIGEST_SIZE_BYTES).digest()
