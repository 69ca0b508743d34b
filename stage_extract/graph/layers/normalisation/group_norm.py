"""Group normalisation: over the pixels and a group of channels of each image."""

from __future__ import annotations

from typing import Any, Dict, Optional

from stage_extract.graph.layers.normalisation.place import Place


def group_norm_attributes(place: Place) -> Optional[Dict[str, Any]]:
    """Give the kind's own attributes, None if the normalisation is of another kind.

    tf.contrib.layers.group_norm splits the channels by a reshape. tf.contrib.layers.layer_norm on
    images or sequences computes the same with one group: it normalises over all axes but the batch,
    but its gamma and beta have the channels alone.
    """
    if not place.pixels or set(place.axes) != set(range(1, place.rank)):
        return None
    return {
        "axes": list(place.axes),
        "groups": 1 if place.groups is None else place.groups,
        "data_format": place.data_format,
    }
