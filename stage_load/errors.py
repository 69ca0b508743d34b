"""What can go wrong in this stage, one class a cause, each with its own exit code (50 to 69).

Each error is made of three texts: what happened (with the value), what was expected, what to do.
"""

from __future__ import annotations


class LoadError(Exception):
    """A job cannot be done, for a cause that its user can act on."""

    exit_code = 1

    def __init__(
        self, happened: str, expected: str, remedy: str, *, traceback: str | None = None
    ) -> None:
        super().__init__(f"{happened} {expected} {remedy}")
        self.traceback = traceback
        self.happened = happened
        self.expected = expected
        self.remedy = remedy


class UnknownModel(LoadError):
    """The name given for the model is in no registry and names no factory."""

    exit_code = 50


class ModelDoesNotFit(LoadError):
    """The graph is not an instance of the model that was asked for."""

    exit_code = 51


class TensorsDoNotFit(LoadError):
    """Variables and parameters do not match one to one; the message lists every difference."""

    exit_code = 52


class ParityFailed(LoadError):
    """The loaded model computes something else than TensorFlow did.

    Not raised: the result is kept, marked as failed, and the orchestrator ends with this code.
    """

    exit_code = 53


class ContractVersion(LoadError):
    """The export was written in a version of the contract that this stage cannot read."""

    exit_code = 54


class ExportDamaged(LoadError):
    """A file of the export is missing, cut short, or contradicts itself."""

    exit_code = 55


class MappingInvalid(LoadError):
    """The user's mapping.csv names something that does not exist, or names it twice."""

    exit_code = 56


class DeviceUnavailable(LoadError):
    """The device asked for is not there."""

    exit_code = 57


class LayoutUnknown(LoadError):
    """There is no layout rule for the kind of operation that reads a variable."""

    exit_code = 58


class DiskFull(LoadError):
    """There is no room for the result."""

    exit_code = 59


class OutputNotWritable(LoadError):
    """The result folder cannot be written to."""

    exit_code = 60


class JobInvalid(LoadError):
    """A job line is not JSON, or lacks a field, or names an unknown command."""

    exit_code = 61


class FactoryFailed(LoadError):
    """The user's own model cannot be imported or built."""

    exit_code = 62


class ResultDamaged(LoadError):
    """A file of a result folder is missing, cut short, or contradicts itself."""

    exit_code = 63


class DeviceOutOfMemory(LoadError):
    """The GPU has too little free memory for the model."""

    exit_code = 64


class MatchUncertain(LoadError):
    """Layers could have another place as well, and no reference run decides between them."""

    exit_code = 65


class ModelArgumentsInvalid(LoadError):
    """The user's factory takes other arguments than those given, or the model takes none."""

    exit_code = 66


class RuleInvalid(LoadError):
    """A rule of --rule cannot be read, matches nothing, or claims what another one has."""

    exit_code = 67


class PatternInvalid(LoadError):
    """A pattern of --allow-missing, --allow-unused, --adapt or --freeze names nothing."""

    exit_code = 68


class DtypeTooNarrow(LoadError):
    """Weights are too large for the dtype that was asked for."""

    exit_code = 69
