"""What every up-sampling must satisfy, and which size it takes."""

from __future__ import annotations

from stage_load.export_view import Node
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import misfit
from stage_load.models.unet.sizes import NotComputable
from stage_load.models.unet.steps import Pair


def check_may_up_sample(node: Node, given: Feature) -> None:
    """Refuse an up-sampling that comes before the concat of the one before, or has no skip left.

    Raises:
        ModelDoesNotFit: names ``node``.
    """
    if given.before_up is not None:
        raise misfit(
            node,
            "up-samples a second time with no concat since the first",
            "a concat with the skip of the encoder after each up-sampling",
        )
    if given.waiting is None:
        taken = f"{len(given.merges)} concats for {len(given.levels)} poolings"
        raise misfit(
            node,
            f"up-samples although no skip is left ({taken})",
            "one pooling in the encoder for each up-sampling",
        )


def computed_size(context: Context, node: Node, tensor: str) -> list[int]:
    """Return the sizes that ``tensor``, an input of ``node``, holds.

    Raises:
        ModelDoesNotFit: names the op that is no arithmetic on sizes.
    """
    try:
        return [int(size) for size in context.sizes.value(tensor).ravel()]
    except NotComputable as error:
        raise misfit(
            error.node,
            f"decides how large the result of '{node.name}' is and is no arithmetic on sizes",
            "a size computed from the sizes of maps",
        ) from error


def takes_skip_size(
    context: Context, node: Node, tensor: str, given: Feature, size: Pair, natural: Pair
) -> bool:
    """Tell whether an up-sampling to ``size`` follows the skip's size, not a multiple of its
    input's.

    Raises:
        ModelDoesNotFit: neither; names ``node``.
    """
    waiting = given.waiting
    skip_size = None if waiting is None else waiting.size
    sources = [context.feature(source) for source in context.sizes.read_from(tensor)]
    from_skip = any(source is not None and source.levels != given.levels for source in sources)
    if size == skip_size and (from_skip or size != natural):
        return True
    if size == natural:
        return False
    raise misfit(
        node,
        f"up-samples {given.size} to {size} (height, width)",
        f"a multiple of the input ({natural}) or the size of the skip ({skip_size})",
    )
