"""Apptainer's recipe of an image, from the Dockerfile's. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from orchestration.sif.dockerfile import BuildStage, Copy

# In the folder of the build, and in an image while it is made. What pip is told, which may be
# secret, is written there and not into the recipe: an image keeps its recipe.
ARGUMENTS_FILE = "build-arguments.sh"
_ARGUMENTS_PATH = f"/{ARGUMENTS_FILE}"
_LAST_STAGE = "image"
_INDENT = "    "


def definition(
    stages: Sequence[BuildStage], context: Sequence[str], bootstrap: str, base: str
) -> str:
    """The definition file of an image.

    Args:
        stages: of its Dockerfile.
        context: names of all files that may be copied, seen from the folder of the build.
        bootstrap: how Apptainer gets the base image: "docker", "localimage", "docker-archive"…
        base: name or path of the base image, for that way.
    """
    return "\n\n".join(_stage(stage, context, bootstrap, base) for stage in stages) + "\n"


def arguments_script(stage: BuildStage) -> str:
    """Shell text that sets a stage's build arguments."""
    lines = (f"export {name}={shlex.quote(value)}" for name, value in stage.arguments.items())
    return "".join(f"{line}\n" for line in lines)


def _stage(stage: BuildStage, context: Sequence[str], bootstrap: str, base: str) -> str:
    parts = [f"Bootstrap: {bootstrap}\nFrom: {base}\nStage: {stage.name or _LAST_STAGE}"]
    origins = dict.fromkeys(copy.origin for copy in stage.copies if copy.origin is not None)
    for origin in origins:
        copies = [copy for copy in stage.copies if copy.origin == origin]
        files = [line for copy in copies for line in _from_stage(copy)]
        parts.append(_section(f"%files from {origin}", files))
    own = [pair for copy in stage.copies if copy.origin is None for pair in _files(copy, context)]
    if stage.name:
        own.append((ARGUMENTS_FILE, _ARGUMENTS_PATH))
    if own:
        parts.append(_section("%files", [f"{source} {target}" for source, target in own]))
    read = [f". {_ARGUMENTS_PATH}"] if stage.name else []
    parts.append(_section("%post", ["set -e", *read, *stage.commands]))
    if stage.environment:
        variables = stage.environment.items()
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables]
        parts.append(_section("%environment", lines))
    if stage.labels:
        parts.append(_section("%labels", [f"{one} {value}" for one, value in stage.labels.items()]))
    if stage.entrypoint:
        parts.append(_section("%runscript", [f'exec {shlex.join(stage.entrypoint)} "$@"']))
    return "\n\n".join(parts)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"{_INDENT}{line}" for line in lines)])


def _from_stage(copy: Copy) -> Iterator[str]:
    """A folder's contents go to the target, as COPY has it."""
    for source in copy.sources:
        yield f"{source}* {copy.target}" if source.endswith("/") else f"{source} {copy.target}"


def _files(copy: Copy, context: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every file that an instruction copies, and where it goes."""
    for pattern in copy.sources:
        for name in context:
            if fnmatchcase(name, pattern):
                is_folder = copy.target.endswith("/")
                target = copy.target + PurePosixPath(name).name if is_folder else copy.target
                yield name, target
                continue
            for parent in PurePosixPath(name).parents:
                if fnmatchcase(parent.as_posix(), pattern):
                    inner = PurePosixPath(name).relative_to(parent)
                    yield name, f"{copy.target.rstrip('/')}/{inner}"
                    break
