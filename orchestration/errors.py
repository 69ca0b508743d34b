"""Errors of the host side, one class a cause, each with its own exit code (10 to 29, from 70).

Every message has three parts: what happened (with the value), what was expected, what to do.
Only `orchestrate.py` prints them and exits. Codes 30 to 49 belong to `stage_extract`, 50 to 69
to `stage_load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

EXIT_OK = 0
EXIT_INTERNAL_ERROR = 1
# Of a batch: some items failed; some are left (EX_TEMPFAIL of sysexits.h: try again).
EXIT_SOME_FAILED = 3
EXIT_PARITY_FAILED = 53
EXIT_ITEMS_LEFT = 75
EXIT_INTERRUPTED = 130


class OrchestrationError(Exception):
    """A failure that the user can understand and mend.

    Args:
        happened: what happened, with the value that caused it.
        expected: what was expected instead.
        remedy: what to do now.
    """

    exit_code: ClassVar[int] = EXIT_INTERNAL_ERROR

    def __init__(self, happened: str, expected: str, remedy: str) -> None:
        super().__init__(f"{happened} {expected} {remedy}")
        self.happened = happened
        self.expected = expected
        self.remedy = remedy


class CheckpointMissing(OrchestrationError):
    """The path given as checkpoint leads nowhere."""

    exit_code = 10


class ResultExists(OrchestrationError):
    """The output folder exists and holds something else than the result asked for."""

    exit_code = 11


class EngineNotInstalled(OrchestrationError):
    """The container engine (or the SDK that speaks to it) is not installed."""

    exit_code = 12


class EngineNotRunning(OrchestrationError):
    """The container engine's daemon does not answer."""

    exit_code = 13


class EngineForbidden(OrchestrationError):
    """The caller may not use the container engine's socket."""

    exit_code = 14


class ImageMissing(OrchestrationError):
    """A stage's image has not been built."""

    exit_code = 15


class OutOfMemory(OrchestrationError):
    """A stage was killed because it needed more memory than it may use."""

    exit_code = 16


class StageCrashed(OrchestrationError):
    """A stage's process ended, or spoke nonsense, in the middle of a job."""

    exit_code = 17


class ExportInvalid(OrchestrationError):
    """An export folder breaks the contract between the two stages."""

    exit_code = 18


class OutputNotWritable(OrchestrationError):
    """The output folder cannot be created where it was asked for."""

    exit_code = 19


class LegacyPythonMissing(OrchestrationError):
    """No CPython 3.7 was found for the local runtime."""

    exit_code = 20


class EnvironmentBuildFailed(OrchestrationError):
    """An environment of the local runtime could not be made, or lacks something."""

    exit_code = 21


class ImageBuildFailed(OrchestrationError):
    """A stage's image could not be built."""

    exit_code = 22


class DiskFull(OrchestrationError):
    """There is no room left where the result is written."""

    exit_code = 23


class CorruptCheckpoint(OrchestrationError):
    """TensorFlow's native code aborted while it read the checkpoint."""

    exit_code = 24


class FeatureUnavailable(OrchestrationError):
    """An option asks for something that the chosen runtime cannot do."""

    exit_code = 25


class EngineRefused(OrchestrationError):
    """The container engine runs, and refuses what it was asked for."""

    exit_code = 26


class ImageUnusable(OrchestrationError):
    """The image named for a stage is not there, or the stage does not start in it."""

    exit_code = 27


class BadItems(OrchestrationError):
    """Rows of a batch's items file (or all of it) cannot be understood."""

    exit_code = 28


class SlurmUnusable(OrchestrationError):
    """Slurm is not installed here, or does not answer."""

    exit_code = 29


class SlurmRefused(OrchestrationError):
    """Slurm, or what it can do, does not allow the job that was asked for."""

    exit_code = 70


class FuseUnusable(OrchestrationError):
    """Apptainer needs /dev/fuse to open an image, and may not use it."""

    exit_code = 71


class ScratchTooSmall(OrchestrationError):
    """There is no room for Apptainer's temporary files."""

    exit_code = 72


class NamespacesMissing(OrchestrationError):
    """Apptainer may not make the user namespace that it needs."""

    exit_code = 73


class ItemTimedOut(OrchestrationError):
    """An item of a batch took longer than --item-timeout allows."""

    exit_code = 74


class BagDamaged(OrchestrationError):
    """Files of a bag are missing, added or not as they were put away."""

    exit_code = 76


class SignatureInvalid(OrchestrationError):
    """A bag's signature is not of this content, or not by the key asked for."""

    exit_code = 77


class ProofBroken(OrchestrationError):
    """A link between original, export, model and proof does not hold any more."""

    exit_code = 78


class NotReproduced(OrchestrationError):
    """A run was repeated, and gave other bytes."""

    exit_code = 79


class NotArchivable(OrchestrationError):
    """A result lacks what an archive must hold, or its inputs have changed since."""

    exit_code = 80


class BagUnreadable(OrchestrationError):
    """What was given as a bag is none, or of a kind that this program does not read."""

    exit_code = 81


class KeyUnusable(OrchestrationError):
    """A key cannot sign, or check a signature."""

    exit_code = 82


class ManifestUnusable(OrchestrationError):
    """A manifest.json is not valid, or not of a version that can be run again."""

    exit_code = 83


class WheelhouseIncomplete(OrchestrationError):
    """Packages could not be collected, or a folder of packages lacks some."""

    exit_code = 84


class NotShareable(OrchestrationError):
    """A result has no model, or none that the hub's library can build."""

    exit_code = 85


class ResultChanged(OrchestrationError):
    """Files of a result are not as its manifest lists them."""

    exit_code = 86


class StageFailed(OrchestrationError):
    """A stage reported a failure of its own; class name and exit code are the stage's.

    Args:
        error: the `error` object of the stage's `failed` event.
    """

    def __init__(self, error: Mapping[str, object]) -> None:
        super().__init__(str(error["happened"]), str(error["expected"]), str(error["remedy"]))
        self.class_name = str(error["class"])
        self.stage_exit_code = int(str(error["exit_code"]))
        self.stage_traceback = error.get("traceback")
        # Of a user's own code, which the stage has run: for the user, not for a log.
        lines = error.get("user_traceback")
        self.user_traceback = [str(line) for line in lines] if isinstance(lines, list) else []


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived.

    Not an `Exception`, like `KeyboardInterrupt`, so that only clean-up code sees it.

    Args:
        signal_number: which of them.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def error_name(error: OrchestrationError) -> str:
    """Name to print for an error: its class, or the class of the stage that reported it."""
    return error.class_name if isinstance(error, StageFailed) else type(error).__name__


def exit_code_of(error: OrchestrationError) -> int:
    """Exit code of an error, which for a stage's failure is the stage's own."""
    return error.stage_exit_code if isinstance(error, StageFailed) else error.exit_code
