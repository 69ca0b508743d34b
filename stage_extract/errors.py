"""The ways in which an extraction can fail: a class for each cause, with its exit code (30 to 49).

A failed job is reported through an event (see `protocol`) that carries the class name, the exit
code and three texts: what happened (with the value), what was expected, what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class ExtractError(Exception):
    """A cause that the user can understand and mend.

    Args:
        happened: what was found, with the value.
        expected: what a checkpoint or an option should look like here.
        remedy: what the user can do.
    """

    exit_code: ClassVar[int]

    def __init__(self, happened: str, expected: str, remedy: str) -> None:
        super().__init__(f"{happened} {expected} {remedy}")
        self.happened = happened
        self.expected = expected
        self.remedy = remedy


class NoCheckpointFound(ExtractError):
    """Nothing at the given path, or a folder without anything like a checkpoint."""

    exit_code = 30


class DataFileMissing(ExtractError):
    """The index is there, but one or all of the data shards that it names are not."""

    exit_code = 31


class TruncatedData(ExtractError):
    """A file ends before the bytes that the index promises."""

    exit_code = 32


class CorruptTensor(ExtractError):
    """The bytes of one tensor do not have the checksum that was stored with them."""

    exit_code = 33


class GitLfsPointer(ExtractError):
    """A git-LFS pointer (a few lines of text) lies where the real file should be."""

    exit_code = 34


class NotTensorFlow(ExtractError):
    """The file belongs to another framework or is no model at all."""

    exit_code = 35


class UnsupportedFormat(ExtractError):
    """A TensorFlow file that is not read: big-endian, encrypted, an archive inside of another …"""

    exit_code = 36


class NotReadable(ExtractError):
    """The operating system does not let this process read a file or folder."""

    exit_code = 37


class DiskFull(ExtractError):
    """The output folder has no room for the export."""

    exit_code = 38


class StepNotFound(ExtractError):
    """No checkpoint of the step that was asked for."""

    exit_code = 39


class EndpointNotFound(ExtractError):
    """An input or output that was asked for is not in the graph."""

    exit_code = 40


class EmptyCheckpoint(ExtractError):
    """A checkpoint that holds no numeric variable."""

    exit_code = 41


class AmbiguousCheckpoint(ExtractError):
    """Several checkpoints, and nothing that says which one is meant."""

    exit_code = 42


class CorruptIndex(ExtractError):
    """The index file cannot be decoded, or contradicts itself."""

    exit_code = 43


class JobInvalid(ExtractError):
    """A job line that is no JSON object, lacks a field or has one that is not known."""

    exit_code = 44


class TensorNameReserved(ExtractError):
    """A tensor name that the export format cannot hold."""

    exit_code = 45


class HeaderTooLarge(ExtractError):
    """More tensors than a safetensors header can list."""

    exit_code = 46


class OutputNotWritable(ExtractError):
    """The output folder is missing or the operating system refuses to write there."""

    exit_code = 47


class ArchiveRefused(ExtractError):
    """An archive whose members lead out of it or come twice, or that holds far too much."""

    exit_code = 48


class ReadersDisagree(ExtractError):
    """This program's own reader and TensorFlow's give other bytes for one tensor."""

    exit_code = 49


INTERNAL_ERROR_EXIT_CODE = 1
