"""Table lookup: ``tf.gather`` and ``tf.nn.embedding_lookup`` to ``torch.nn.Embedding``."""

from __future__ import annotations

from stage_load.layouts.family import Family, Layout

EMBEDDING = Family(
    op_kind="embedding",
    layouts=(Layout("embedding", "weight", source_axes="VD", target_axes="VD"),),
)
