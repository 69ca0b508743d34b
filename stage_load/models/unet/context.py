"""What the rules of the reader share: the graph, the maps found so far, shape arithmetic."""

from __future__ import annotations

from stage_load.export_view import ExportView, Node
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.sizes import SizeEvaluator

# Two, so that a batch axis is never mistaken for an axis of size one.
SAMPLE_BATCH = 2


class Context:
    """The state of one pass over the nodes of ``view``."""

    def __init__(self, view: ExportView) -> None:
        self.view = view
        self.assumptions: list[str] = []
        self._features: dict[str, Feature] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.sizes = SizeEvaluator(view, self._shapes)
        shape = view.inputs[0].shape
        self._batch = SAMPLE_BATCH if not shape or shape[0] is None else shape[0]

    def feature(self, tensor: str) -> Feature | None:
        """Return the map that ``tensor`` is, None for anything else."""
        return self._features.get(tensor)

    def features_of(self, node: Node) -> list[Feature]:
        """Return the maps among what ``node`` reads, in its order."""
        found = [self.feature(tensor) for tensor in node.inputs]
        return [feature for feature in found if feature is not None]

    def file(self, tensor: str, feature: Feature) -> None:
        """Note that ``tensor`` is the map ``feature``."""
        self._features[tensor] = feature
        self.note_shape(tensor, feature)

    def note_shape(self, tensor: str, feature: Feature) -> None:
        """Note that ``tensor`` has the shape of ``feature``, for the shape arithmetic."""
        self._shapes[self.view.source(tensor)] = feature.shape(self._batch)

    def assume(self, sentence: str) -> None:
        """Note what the graph does not say, once."""
        if sentence not in self.assumptions:
            self.assumptions.append(sentence)
