"""PReLU: one learnt slope below zero a channel, to ``torch.nn.PReLU``."""

from __future__ import annotations

from stage_load.layouts.family import Family, vector_layouts

PRELU = Family(op_kind="prelu", layouts=vector_layouts("alpha", "weight"))
