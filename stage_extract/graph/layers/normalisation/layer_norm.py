"""Layer normalisation: over the last axes, scaled and shifted along the same axes."""

from __future__ import annotations

from typing import Any, Dict, Optional

from stage_extract.graph.layers.normalisation.place import Place


def layer_norm_attributes(place: Place) -> Optional[Dict[str, Any]]:
    """Give the kind's own attributes, None if the normalisation is of another kind.

    tf.contrib.layers.layer_norm on a matrix, Keras' LayerNormalization and all that transformers
    write by hand normalise over the last axis, which gamma and beta have too.
    """
    last = tuple(range(place.rank - len(place.axes), place.rank))
    if place.groups is not None or place.axes != last or place.parameter_axes != last:
        return None
    return {"axes": list(last)}
