"""Tells whether values hold NaN or infinity, for every type that a reference can hold."""

from __future__ import annotations

from typing import Any

import numpy

_WHOLE_KINDS = "biu"
_NUMPY_KINDS = "fc"


def is_finite(values: Any) -> bool:
    """Tell whether an array holds neither NaN nor infinity."""
    if values.dtype.kind in _WHOLE_KINDS:
        return True
    if values.dtype.kind not in _NUMPY_KINDS:
        # TensorFlow's bfloat16, which numpy's functions do not know.
        values = values.astype(numpy.float32)
    return bool(numpy.isfinite(values).all())
