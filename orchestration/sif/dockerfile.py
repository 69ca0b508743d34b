"""The parts of this project's Dockerfiles: Apptainer's recipe is made from the same text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Template

_CONTINUED = re.compile(r"\s*\\\n\s*")
_FROM_STAGE = "--from="


@dataclass(frozen=True)
class Copy:
    """Files into a stage. `origin` is another stage's name, or None for the build's context."""

    sources: tuple[str, ...]
    target: str
    origin: str | None


@dataclass
class BuildStage:
    """One `FROM` and what follows it.

    Attributes:
        base: name of the image it begins with.
        name: of the stage; "" for the last.
        arguments: build arguments in force.
        copies: in order.
        commands: for a shell, in order.
        environment: variables of the image.
        labels: of the image.
        entrypoint: program of the image.
    """

    base: str
    name: str
    arguments: dict[str, str] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


def read_dockerfile(text: str, given: Mapping[str, str]) -> list[BuildStage]:
    """The stages of a Dockerfile.

    Args:
        text: of the file; it uses what this project's do, and nothing else is known here.
        given: build arguments.

    Raises:
        ValueError: an instruction is not known.
    """
    outside: dict[str, str] = {}
    stages: list[BuildStage] = []
    for word, rest in _instructions(text):
        if word == "ARG":
            name, has_default, default = rest.partition("=")
            scope = stages[-1].arguments if stages else outside
            if name in given or has_default or name in outside:
                scope[name] = given.get(name, default if has_default else outside.get(name, ""))
        elif word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(BuildStage(_filled(image.strip(), outside), name.strip()))
        else:
            _add(stages[-1], word, rest)
    return stages


def _add(stage: BuildStage, word: str, rest: str) -> None:
    """Note one instruction of a stage."""
    if word == "COPY":
        words = shlex.split(_filled(rest, stage.arguments))
        origin = next((one for one in words if one.startswith(_FROM_STAGE)), None)
        *sources, target = [one for one in words if one != origin]
        from_stage = None if origin is None else origin.removeprefix(_FROM_STAGE)
        stage.copies.append(Copy(tuple(sources), target, from_stage))
    elif word == "RUN":
        stage.commands.append(rest)
    elif word == "ENV":
        stage.environment.update(_pairs(_filled(rest, stage.arguments)))
    elif word == "LABEL":
        stage.labels.update(_pairs(_filled(rest, stage.arguments)))
    elif word == "ENTRYPOINT":
        stage.entrypoint = tuple(re.findall(r'"([^"]*)"', rest))
    elif word not in ("USER", "WORKDIR"):
        # Those two are for engines: Apptainer runs as its caller, wherever it is told.
        raise ValueError(f"{word} is not known here")


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in _CONTINUED.sub(" ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(text))


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    return Template(text).safe_substitute(arguments)
