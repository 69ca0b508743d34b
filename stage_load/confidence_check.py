"""Refuses what is only guessed: places that neither the order nor names nor a run has told."""

from __future__ import annotations

from collections.abc import Sequence

from stage_load.confidence import LEAST
from stage_load.errors import MatchUncertain
from stage_load.plan import OpenPlace, Plan
from stage_load.verdict import FAILED, PROVEN, Parity

_MOST_LISTED = 20


def unconfirmed(plan: Plan, parity: Parity) -> tuple[OpenPlace, ...]:
    """Return the open places that the proof has not confirmed.

    A proof that failed says so itself; one that succeeded confirms all of them. Without an output
    to compare, or where some of the model is left as initialised, a layer that agrees confirms its
    own place.
    """
    is_whole = not any(entry.is_excused for entry in parity.not_compared)
    if parity.verdict == FAILED or (parity.verdict == PROVEN and is_whole):
        return ()
    agreeing = {
        entry.layer
        for entry in parity.layers
        if entry.comparison.agrees and entry.comparison.varies
    }
    return tuple(place for place in plan.open_places if place.layer not in agreeing)


def check_confidence(plan: Plan, parity: Parity) -> None:
    """Check that nothing is loaded on a guess.

    Raises:
        MatchUncertain: lists the places that are open.
    """
    found = unconfirmed(plan, parity)
    if found:
        raise MatchUncertain(
            "\n".join((_headline(found, parity), *_lines(found))),
            f"Expected a confidence of at least {LEAST}, or a reference run that decides.",
            "Complete the proposals and hand them back with --map.",
        )


def _headline(found: Sequence[OpenPlace], parity: Parity) -> str:
    layers = "layer" if len(found) == 1 else "layers"
    return (
        f"{len(found)} {layers} could have another place by kind, shape, order and names, and no "
        f"run decides between them: {parity.reason}."
    )


def _lines(found: Sequence[OpenPlace]) -> list[str]:
    lines = [
        f"  {place.name} -> {place.module} with confidence {place.confidence:.2f}, or {place.rival}"
        for place in found[:_MOST_LISTED]
    ]
    if len(found) > _MOST_LISTED:
        lines.append(f"  and {len(found) - _MOST_LISTED} more")
    return lines
