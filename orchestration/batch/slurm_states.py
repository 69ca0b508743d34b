"""What every state of a Slurm job means to a batch."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Standing(Enum):
    """Where a task stands.

    None of these says what became of an item: only the ledger does.
    """

    WAITING = "waits in the queue"
    RUNNING = "has a node"
    HELD = "waits until somebody releases it"
    ENDED = "is over"
    UNKNOWN = "is in a state that this program does not know"


_W, _R, _H, _E = Standing.WAITING, Standing.RUNNING, Standing.HELD, Standing.ENDED

STATES: Mapping[str, Standing] = MappingProxyType(
    {
        "BOOT_FAIL": _E,
        "CANCELLED": _E,
        "COMPLETED": _E,
        # Processes of it may still be at work.
        "COMPLETING": _R,
        "CONFIGURING": _W,
        "DEADLINE": _E,
        "EXPEDITING": _W,
        "FAILED": _E,
        # Slurm puts it back into the queue, held, and says so by REQUEUE_HOLD or PENDING.
        "LAUNCH_FAILED": _E,
        # A task that is requeued after these is PENDING from then on.
        "NODE_FAIL": _E,
        "PREEMPTED": _E,
        "OUT_OF_MEMORY": _E,
        "PENDING": _W,
        "POWER_UP_NODE": _W,
        "RECONFIG_FAIL": _E,
        "REQUEUED": _W,
        "REQUEUE_FED": _W,
        "REQUEUE_HOLD": _H,
        "RESIZING": _R,
        "RESV_DEL_HOLD": _H,
        # Another cluster of a federation has it; nothing is known of it here.
        "REVOKED": Standing.UNKNOWN,
        "RUNNING": _R,
        "SIGNALING": _R,
        "SPECIAL_EXIT": _H,
        "STAGE_OUT": _R,
        "STOPPED": _R,
        "SUSPENDED": _R,
        "TIMEOUT": _E,
        "UPDATE_DB": Standing.UNKNOWN,
    }
)
"""State as squeue and sacct write it -> standing; the states of Slurm 20.02 to 25.05."""

_HOLD_REASONS = ("JobHeldUser", "JobHeldAdmin", "launch_failed_requeued_held")


def standing_of(state: str, reason: str = "") -> Standing:
    """Standing of a task; a state that is not in the table is unknown, never over.

    Args:
        state: Slurm's word for it, perhaps with more after a blank: "CANCELLED by 1001".
        reason: why it waits, as squeue says.
    """
    word = state.partition(" ")[0].rstrip("+")
    standing = STATES.get(word, Standing.UNKNOWN)
    is_held = reason.replace(" ", "_") in _HOLD_REASONS
    return Standing.HELD if is_held and standing is Standing.WAITING else standing
