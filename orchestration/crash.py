"""Why a stage died: from its exit status and its last words to an error for people."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from orchestration.errors import CorruptCheckpoint, OrchestrationError, OutOfMemory, StageCrashed
from orchestration.runtimes.base import ExitStatus, Stage, StageSpec

_SHOWN_LINES = 4
# What libraries say when an allocation fails, before they abort by themselves.
_MEMORY_WORDS = ("std::bad_alloc", "MemoryError", "DefaultCPUAllocator: can't allocate")


def explain_exit(spec: StageSpec, status: ExitStatus, text: Sequence[str]) -> OrchestrationError:
    """The error that tells why a stage ended before its work was done.

    Args:
        spec: what ran.
        status: how it ended.
        text: its last lines of stderr.
    """
    stage, code = spec.stage, status.code
    runs_tensorflow = stage == "extract" and spec.home is None
    if status.out_of_memory or any(word in line for word in _MEMORY_WORDS for line in text):
        return _out_of_memory(stage, spec.memory_limit_bytes)
    # libhdf5, too, may fall over what a damaged file says.
    if runs_tensorflow and code in (128 + signal.SIGABRT, 128 + signal.SIGSEGV):
        return CorruptCheckpoint(
            f"TensorFlow aborted while it read the checkpoint (exit code {code}).{_said(text)}",
            "It does so when a data file is shorter than its index says, or damaged.",
            "Copy the checkpoint again from where it came from, and compare sizes or checksums.",
        )
    if code == 128 + signal.SIGILL:
        return StageCrashed(
            f"Stage {stage} met an instruction that this processor lacks (exit code {code}).",
            f"{spec.imports}'s builds need AVX; emulated processors often do not have it.",
            "Run on an x86_64 machine with AVX"
            + (", or read without TensorFlow: --reader pure." if runs_tensorflow else "."),
        )
    if code == 128 + signal.SIGKILL:
        return StageCrashed(
            f"Stage {stage} was killed from outside (SIGKILL, exit code {code}).",
            "This program did not do it; mostly it is the machine's or a batch job's memory limit.",
            "Look into the kernel's or the batch system's log, and give the job more memory.",
        )
    return StageCrashed(
        f"Stage {stage} ended with exit code {code} in the middle of its work.{_said(text)}",
        "A stage answers every job before it ends.",
        "Run again with --verbose to see all that it says.",
    )


def _out_of_memory(stage: Stage, memory_limit_bytes: int | None) -> OutOfMemory:
    if memory_limit_bytes is None:
        limit, remedy = "No limit was set, so the machine itself ran out.", "Use a larger machine."
    else:
        limit = f"It may use {memory_limit_bytes / 1e6:,.0f} MB."
        remedy = "Give it more with --memory-limit."
    return OutOfMemory(
        f"Stage {stage} needed more memory than there is.",
        limit,
        f"{remedy} A smaller --reference-mb or --no-prove needs less.",
    )


def _said(text: Sequence[str]) -> str:
    lines = [line.strip() for line in text if line.strip()][-_SHOWN_LINES:]
    return f" Its last words: {' / '.join(lines)}" if lines else ""
