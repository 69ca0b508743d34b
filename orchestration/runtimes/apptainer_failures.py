"""Why Apptainer did not start a stage: from its last words to an error for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestration.errors import (
    EngineRefused,
    FeatureUnavailable,
    FuseUnusable,
    ImageUnusable,
    NamespacesMissing,
    OrchestrationError,
    ScratchTooSmall,
)
from orchestration.sif.store import unusable

# What Apptainer ends with when it fails itself, and `env` without the program it is to run.
OWN_CODES = frozenset({1, 126, 127, 255})
# Its part that starts containers knows no `--nocolor`.
_OWN_WORDS = re.compile(r"^(?:\x1b\[\d*m)?(?:FATAL|ERROR)\s*:\s+|^\S*env: ")
_TELLS_LITTLE = "It was expected to start the stage."


def explain_failure(text: Sequence[str], image: Path) -> OrchestrationError | None:
    """The error that tells why the stage was not started; None if Apptainer did not say.

    Args:
        text: the last lines of stderr of a stage that has said nothing yet.
        image: that it was to run in.
    """
    words = [_OWN_WORDS.sub("", line).strip() for line in text if _OWN_WORDS.match(line)]
    if not words:
        return None
    said = " / ".join(words)
    for pattern, error in _CAUSES:
        if re.search(pattern, said):
            return error(said, image)
    return EngineRefused(
        f"Apptainer did not start the stage: {said}.",
        _TELLS_LITTLE,
        "`python orchestrate.py doctor` says what works here; or pass `--runtime local`.",
    )


def _fuse(said: str, image: Path) -> FuseUnusable:
    return FuseUnusable(
        f"Apptainer cannot open the image without /dev/fuse: {said}.",
        "A /dev/fuse that every user may open was expected, as udev leaves it.",
        "Ask those who run the machine for `chmod 666 /dev/fuse`; or pass `--unsquash`, which"
        " unpacks the image at each start.",
    )


def _namespaces(said: str, image: Path) -> NamespacesMissing:
    return NamespacesMissing(
        f"Apptainer may not make a user namespace: {said}.",
        "A kernel that gives them to ordinary users was expected, or Apptainer installed setuid.",
        "Ask those who run the machine for `sysctl user.max_user_namespaces=15000`"
        " (and `kernel.unprivileged_userns_clone=1`, or the package apptainer-suid); or pass"
        " `--runtime local`.",
    )


def _scratch(said: str, image: Path) -> ScratchTooSmall:
    return ScratchTooSmall(
        f"There is no room for Apptainer's temporary files: {said}.",
        "Room for what an image holds was expected, about 1.5 GB.",
        "Let the environment variable APPTAINER_TMPDIR name a folder on a larger local disk.",
    )


def _source(said: str, image: Path) -> EngineRefused:
    return EngineRefused(
        f"Apptainer cannot show the stage a folder: {said}.",
        "Every folder of the run was expected to be there until its end.",
        "Look whether it was moved or deleted, or lies on a file system that is not mounted here.",
    )


def _memory(said: str, image: Path) -> FeatureUnavailable:
    return FeatureUnavailable(
        f"A memory limit was asked for, and Apptainer can set none here: {said}.",
        "Control groups v2 with systemd, delegated to the user, were expected.",
        "Leave `--memory-limit` out: a batch system's own limit of the job holds all the same.",
    )


def _image(said: str, image: Path) -> ImageUnusable:
    return unusable(image, said)


_CAUSES: tuple[tuple[str, Callable[[str, Path], OrchestrationError]], ...] = (
    (r"/dev/fuse", _fuse),
    (r"[Nn]o space left on device", _scratch),
    (r"user namespace", _namespaces),
    (r"cgroups? ", _memory),
    (r"mount source .* doesn't exist", _source),
    (
        r"could not open image|bad superblock|squashfs image|executable file not found"
        r"|No such file or directory$|Permission denied$",
        _image,
    ),
)
"""Pattern in Apptainer's words -> error; the first that fits."""
