"""Instance normalisation: ``tf.contrib.layers.instance_norm`` to ``torch.nn.InstanceNorm2d``.

TensorFlow keeps no moving statistics of it: a torch module with ``track_running_stats=True``
computes something else, and has tensors that nothing fills.
"""

from __future__ import annotations

from types import MappingProxyType

from stage_load.layouts.family import Family, epsilon_setting, vector_layouts

INSTANCE_NORM = Family(
    op_kind="instance_norm",
    layouts=(*vector_layouts("gamma", "weight"), *vector_layouts("beta", "bias")),
    defaults=MappingProxyType({"gamma": 1.0, "beta": 0.0}),
    settings=epsilon_setting,
)
