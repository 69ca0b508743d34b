"""What a record asked for that makes a proof mean less, told beside the verdict that it is of.

Whoever makes a bag writes the record, too. All of this can be right, and was made so again; but
that a proof holds says less with it, which nobody should have to look up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from orchestration.recorded_run import RunSettings
from orchestration.settings import DEFAULT_TOLERANCE, ExtractSettings, LoadSettings

_SHOWN_CHARACTERS: Final = 200
_OF_TRANSFER: Final = ("rules", "allow_missing", "allow_unused", "adapt", "dtype")


def mapping_notes(asked: RunSettings) -> Iterator[str]:
    """What was said by hand of which weights go where, and of what may be missing."""
    if isinstance(asked, ExtractSettings):
        return
    load = asked.load
    by_hand = {name: getattr(load.transfer, name) for name in _OF_TRANSFER}
    by_hand |= {"model_args": load.model_args, "map": load.map and load.map.name}
    given = {name: value for name, value in sorted(by_hand.items()) if value}
    if given:
        told = ", ".join(f"{name} {_shown(value)}" for name, value in given.items())
        yield f"by options of whoever made it, which mapping.csv shows the work of: {told}"


def proof_notes(asked: RunSettings, is_reference_remade: bool) -> Iterator[str]:
    """How far the proof reaches.

    Args:
        asked: what the run was asked for.
        is_reference_remade: TensorFlow has computed here what the network is compared with.
    """
    if isinstance(asked, ExtractSettings):
        return
    if not is_reference_remade:
        told = "what TensorFlow computed was taken from the bag, and not computed again"
        has_original = not isinstance(asked, LoadSettings)
        how = "--reader tf does that on a machine like that of then, and --rerun in any case"
        yield f"{told}: {how}" if has_original else f"{told}, for it holds no checkpoint"
    if asked.load.tolerance > DEFAULT_TOLERANCE:
        yield (
            f"a tolerance of {asked.load.tolerance:.2g} was asked for, and this program's own is"
            f" {DEFAULT_TOLERANCE:.0e}"
        )
    if not isinstance(asked, LoadSettings) and asked.extract.outputs:
        yield f"outputs that were named by hand: {_shown(asked.extract.outputs)}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    more = "…" if len(text) > _SHOWN_CHARACTERS else ""
    return f"{text[:_SHOWN_CHARACTERS]}{more}"
