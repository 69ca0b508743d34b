"""Run `apptainer build`, so that a file is there whole, with the right labels, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestration.errors import FuseUnusable, ImageBuildFailed, NamespacesMissing, ScratchTooSmall
from orchestration.images import CONTENT_LABEL
from orchestration.runtimes.apptainer_arguments import build_environment
from orchestration.runtimes.apptainer_failures import explain_failure
from orchestration.sif.program import Program, run
from orchestration.sif.store import SUFFIX, labels

_SQUASH_OPTION = "--mksquashfs-args"
# Quick to make and to read; gzip, the default, takes six times as long.
_SQUASH_ARGUMENTS = "-comp zstd -Xcompression-level 1"
_TEMPORARY = "temporary"
_KEPT_LINES = 20


def make_image(
    program: Program,
    origin: str,
    target: Path,
    content: str | None,
    *,
    folder: Path,
    environment: Mapping[str, str],
    notify: Callable[[str], None],
) -> None:
    """Make a SIF file beside its place, look at it, and move it there.

    Args:
        program: the installation.
        origin: what from: a definition file, or "docker-daemon:NAME:TAG" and its like.
        target: the file.
        content: which label for its contents it must have; None = none.
        folder: what `origin` is seen from; gets Apptainer's temporary files.
        environment: the caller's.
        notify: takes what Apptainer says, line by line.

    Raises:
        FuseUnusable, NamespacesMissing, ScratchTooSmall: the machine lacks what it needs.
        ImageBuildFailed: Apptainer failed, or made something else.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.stem}.{os.getpid()}{SUFFIX}")
    try:
        _build(program, [os.fspath(partial), origin], folder, environment, notify)
        found = labels(program, partial, environment).get(CONTENT_LABEL)
        if found != content:
            raise ImageBuildFailed(
                f"The image from {origin} has the contents {found}.",
                f"{content} was expected, which the present sources give.",
                "Build the engine's image anew, or save it again, from these sources.",
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _build(
    program: Program,
    operands: list[str],
    folder: Path,
    environment: Mapping[str, str],
    notify: Callable[[str], None],
) -> None:
    temporary = folder / _TEMPORARY
    temporary.mkdir(exist_ok=True)
    # What a build that is killed leaves goes with the folder.
    variables = {**build_environment(environment), "APPTAINER_TMPDIR": os.fspath(temporary)}
    options = []
    # Since 1.2; what does not know it compresses with gzip.
    if _SQUASH_OPTION in run(program.path, ["build", "--help"], variables):
        options = [_SQUASH_OPTION, _SQUASH_ARGUMENTS]
    command = [program.path, "--nocolor", "build", "--force", *options, *operands]
    code, said = _run(command, folder, variables, notify)
    if code == 0:
        return
    failure = explain_failure(said, Path(operands[0]))
    if isinstance(failure, FuseUnusable | NamespacesMissing | ScratchTooSmall):
        raise failure
    raise ImageBuildFailed(
        f"`apptainer build` failed for {operands[1]}: {' / '.join(said[-3:])}.",
        "Every step was expected to end well.",
        "Read what it wrote above; `python orchestrate.py doctor` says what works here.",
    )


def _run(
    command: list[str],
    folder: Path,
    variables: Mapping[str, str],
    notify: Callable[[str], None],
) -> tuple[int, list[str]]:
    """Exit code and last lines of a command, which goes with all that it has started."""
    said: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = [*said[1 - _KEPT_LINES :], line.rstrip()]
                notify(line.rstrip())
        except BaseException:
            # It has started others, such as mksquashfs.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said
