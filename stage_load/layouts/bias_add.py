"""A bias that stands alone: its add does not directly follow the operation it belongs to."""

from __future__ import annotations

from stage_load.layouts.family import Family, vector_layouts

BIAS_ADD = Family(op_kind="bias_add", layouts=vector_layouts("bias", "bias"))
