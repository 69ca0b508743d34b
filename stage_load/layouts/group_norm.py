"""Group normalisation: ``tf.contrib.layers.group_norm`` to ``torch.nn.GroupNorm``.

Both split the channels into consecutive groups. ``tf.contrib.layers.layer_norm`` on images is this
with one group: it normalises over H, W and C, but scales by channel.
"""

from __future__ import annotations

from types import MappingProxyType

from stage_load.layouts.family import Family, epsilon_setting, vector_layouts

GROUP_NORM = Family(
    op_kind="group_norm",
    layouts=(*vector_layouts("gamma", "weight"), *vector_layouts("beta", "bias")),
    defaults=MappingProxyType({"gamma": 1.0, "beta": 0.0}),
    settings=epsilon_setting,
)
