"""What a model card says of its model's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestration.hub.model import SharedModel
from orchestration.recorded_run import RecordedRun

_SHOWN_NAMES = 20


def limits(run: RecordedRun, model: SharedModel) -> Iterator[str]:
    """One sentence a limit: of every conversion, then of this one."""
    result = run.manifest["load"]["result"]
    yield (
        "It is for inference: it computes what TensorFlow's graph computes then. Losses, the"
        " optimizer's state and what a training does besides were not converted."
    )
    yield "What was done to the data before they were fed is not in a graph, and not told here."
    if run.manifest["verdict"]["state"] == "failed":
        yield "The proof failed: do not rely on it before you know why."
    elif run.manifest["verdict"]["worst"] is not None:
        yield (
            "The proof is numerical, on seeded random inputs. It shows that the weights are in the"
            " right places and that the operations agree, not that all inputs give the same."
        )
    assumed = _assumptions(model)
    yield from (f"Assumed: {text}" for text in assumed)
    yield from _transfers(model)
    skipped = run.manifest.get("extract", {}).get("result", {}).get("skipped")
    if isinstance(skipped, int) and skipped:
        yield (
            f"Left out when the checkpoint was read, such as optimizer state: {skipped:,}"
            f" {'entry' if skipped == 1 else 'entries'}; report.html tells each with the reason."
        )
    yield from (str(text) for text in result.get("warnings", ()) if text not in assumed)


def _assumptions(model: SharedModel) -> Sequence[Any]:
    found = model.arguments.get("assumptions", ()) if model.is_registered else ()
    return found if isinstance(found, list) else ()


def _transfers(model: SharedModel) -> Iterator[str]:
    transfer = model.transfer
    for names, what in (
        (transfer.initialised, "Not from the checkpoint, but as new (seed 0)"),
        (transfer.left_out, "Variables of the checkpoint that have no place here"),
        (transfer.adapted, "Fitted to another number of channels or classes"),
    ):
        if names:
            yield f"{what}: {_listed(names)}."
    if transfer.dtype is not None:
        yield f"The weights were rounded to {transfer.dtype} after the proof."
    if transfer.frozen:
        yield f"Parameters that hub_model.py freezes: {len(transfer.frozen):,}."


def _listed(names: Sequence[str]) -> str:
    shown, more = ", ".join(names[:_SHOWN_NAMES]), len(names) - _SHOWN_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown
