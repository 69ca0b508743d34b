"""Layer normalisation: ``tf.contrib.layers.layer_norm`` and its like to ``torch.nn.LayerNorm``.

Over several axes gamma and beta have all of them; torch's are those of an image in its own order,
so H W C become C H W.
"""

from __future__ import annotations

from types import MappingProxyType

from stage_load.layouts.family import Family, Layout, epsilon_setting, vector_layouts

_WHOLE_AXES = (("HWC", "CHW"), ("CHW", "CHW"), ("TC", "TC"))

LAYER_NORM = Family(
    op_kind="layer_norm",
    layouts=(
        *vector_layouts("gamma", "weight"),
        *vector_layouts("beta", "bias"),
        *(
            Layout(role, parameter, source, target)
            for role, parameter in (("gamma", "weight"), ("beta", "bias"))
            for source, target in _WHOLE_AXES
        ),
    ),
    defaults=MappingProxyType({"gamma": 1.0, "beta": 0.0}),
    settings=epsilon_setting,
)
