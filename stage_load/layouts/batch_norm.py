"""Batch normalisation: four vectors, two numbers that belong to the module, one counter.

TensorFlow leaves gamma out with ``scale=False`` (the default of ``tf.contrib.layers.batch_norm``)
and beta with ``center=False``; torch has both or none, so ones and zeros stand for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stage_load.layouts.family import Family, vector_layouts

_DECIMALS = 7


def settings(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return ``eps`` and ``momentum`` for the torch module, as far as the graph tells them.

    ``eps`` is the effective epsilon: TensorFlow's fused kernel never goes below 1.001e-5.
    ``momentum`` is ``1 - decay``, rounded to the seven decimals that a float32 decay carries.
    """
    found = {}
    epsilon = attributes.get("effective_epsilon")
    if epsilon is None:
        epsilon = attributes.get("epsilon")
    if epsilon is not None:
        found["eps"] = float(epsilon)
    decay = attributes.get("decay")
    if decay is not None:
        found["momentum"] = round(1.0 - float(decay), _DECIMALS)
    return found


BATCH_NORM = Family(
    op_kind="batch_norm",
    layouts=(
        *vector_layouts("gamma", "weight"),
        *vector_layouts("beta", "bias"),
        *vector_layouts("moving_mean", "running_mean"),
        *vector_layouts("moving_variance", "running_var"),
    ),
    defaults=MappingProxyType({"gamma": 1.0, "beta": 0.0}),
    buffers=MappingProxyType({"num_batches_tracked": 0.0}),
    settings=settings,
)
