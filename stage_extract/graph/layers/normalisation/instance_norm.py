"""Instance normalisation: over the pixels of each image and channel."""

from __future__ import annotations

from typing import Any, Dict, Optional

from stage_extract.graph.layers.normalisation.place import Place


def instance_norm_attributes(place: Place) -> Optional[Dict[str, Any]]:
    """Give the kind's own attributes, None if the normalisation is of another kind.

    tf.contrib.layers.instance_norm, and what style transfer writes by hand: all axes but batch and
    channels, with one gamma and beta a channel.
    """
    if place.groups is not None or not place.pixels or place.axes != place.pixels:
        return None
    return {"axes": list(place.axes), "data_format": place.data_format}
