"""Podman's images and containers, by its command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.errors import EngineRefused, ImageBuildFailed
from orchestration.image_sources import SOURCE_DATE
from orchestration.image_store import ContainerSummary, ImageDetails
from orchestration.podman_command import PROGRAM, PodmanCommand

LOCAL = "localhost/"
_HUB = "docker.io/"
_ID_PREFIX = "sha256:"
# podman-image-exists(1): 1 = there is none; everything above is an error.
_IS_ABSENT = 1
_REMOVALS = 5
_BETWEEN_REMOVALS_S = 0.3


class PodmanEngine:
    """What `engine.Engine` does through a socket, without one.

    Args:
        command: the program.
    """

    program = PROGRAM

    def __init__(self, command: PodmanCommand) -> None:
        self._command = command

    def close(self) -> None:
        """Nothing is held open."""

    def own_name(self, reference: str) -> str:
        """The full name of an image that is built here under `reference`."""
        return f"{LOCAL}{reference}"

    def info(self) -> dict[str, Any]:
        """What Podman says of itself, in Docker's terms."""
        return self._command.facts().in_docker_terms()

    def find_image(self, reference: str) -> ImageDetails | None:
        """The image of this name, or None. Nothing is pulled."""
        for name in full_names(reference):
            result = self._command.run("image", "exists", name)
            if result.returncode == 0:
                (details,) = json.loads(self._command.answer("image", "inspect", name))
                return _details(details, details["RepoTags"])
            if result.returncode != _IS_ABSENT:
                raise EngineRefused(
                    f"Podman cannot look for {name}: {result.stderr.strip().rstrip('.')}.",
                    "A store of images that can be read was expected.",
                    "Run `podman image ls`, and mend what it says.",
                )
        return None

    def list_images(self, repository: str) -> list[ImageDetails]:
        """All images of a repository of this machine, newest first."""
        wanted = f"reference={LOCAL}{repository}"
        listed = self._command.answer("image", "ls", "--format=json", f"--filter={wanted}")
        images = sorted(json.loads(listed), key=lambda image: int(image["Created"]), reverse=True)
        return [_details(image, image["Names"]) for image in images]

    def pull_image(self, reference: str) -> Iterator[str]:
        """Fetch an image from its registry; yields the log line by line."""
        yield from self._command.stream(["pull", _registry_name(reference)], iter(()))

    def save_image(self, reference: str) -> Iterator[bytes]:
        """An image as an archive as `docker save` writes it, in pieces."""
        details = self.find_image(reference)
        name = reference if details is None else details.image_id
        yield from self._command.content("save", "--format=docker-archive", name)

    def load_images(self, archive: Iterator[bytes]) -> Iterator[str]:
        """Take images over from an archive as `docker save` writes it; yields the log."""
        yield from self._command.stream(["load"], archive)

    def build_image(self, context: Iterator[bytes], arguments: Mapping[str, Any]) -> Iterator[str]:
        """Build an image; yields its log line by line.

        Args:
            context: the build context, a tar file in pieces.
            arguments: further ones of the Docker SDK's low-level `build`.

        Raises:
            ImageBuildFailed: a step failed.
        """
        try:
            command = build_command_line(arguments)
            for line in self._command.stream(command, context, arguments["buildargs"]):
                if line.strip():
                    yield line
        except EngineRefused as error:
            raise ImageBuildFailed(
                f"{arguments['tag']} could not be built: {error.happened}",
                "Every step of its Dockerfile was expected to succeed.",
                "Read the build log above; without network, pass `--wheelhouse FOLDER`.",
            ) from error

    def list_containers(self, label: str) -> list[ContainerSummary]:
        """All containers with a label, ended ones too."""
        listed = self._command.answer("ps", "--all", "--format=json", f"--filter=label={label}")
        return [
            ContainerSummary(item["Id"], item["Labels"] or {}, item["State"] == "running")
            for item in json.loads(listed)
        ]

    def remove_container(self, name_or_id: str) -> None:
        """Kill and remove a container; one that is gone is no error.

        Raises:
            EngineRefused: Podman does not, though it was asked several times.
        """
        arguments = ("rm", "--force", "--ignore", "--time=0", "--volumes", name_or_id)
        for _ in range(_REMOVALS - 1):
            if self._command.run(*arguments).returncode == 0:
                return
            # Podman 4.3 fails over a container that comes to its own end in this very moment.
            time.sleep(_BETWEEN_REMOVALS_S)
        self._command.answer(*arguments)

    def container_state(self, name_or_id: str) -> dict[str, Any] | None:
        """Podman's record of a container's process: Status, OOMKilled …; None without container."""
        result = self._command.run("container", "inspect", name_or_id)
        if result.returncode != 0:
            return None
        (details,) = json.loads(result.stdout)
        return dict(details["State"])


def build_command_line(arguments: Mapping[str, Any]) -> list[str]:
    """`podman build` with the arguments of the Docker SDK's low-level `build`.

    The values of build arguments are for its environment: an index's address may hold a password,
    and everybody on a machine can read command lines.
    """
    return [
        "build",
        f"--file={arguments['dockerfile']}",
        f"--tag={LOCAL}{arguments['tag']}",
        *(f"--build-arg={name}" for name in arguments["buildargs"]),
        *((f"--network={arguments['network_mode']}",) if arguments["network_mode"] else ()),
        *(("--no-cache",) if arguments["nocache"] else ()),
        # Of the image itself, which Docker's builder always gives the present time.
        *(f"--timestamp={time_s}" for time_s in _fixed_time(arguments["buildargs"])),
        "--pull-never",
        "-",
    ]


def _fixed_time(arguments: Mapping[str, str]) -> list[str]:
    return [arguments[SOURCE_DATE]] if SOURCE_DATE in arguments else []


def full_names(reference: str) -> tuple[str, ...]:
    """Under which an image of this name may lie here, whatever the site's short names mean.

    What was built or loaded here lies under `localhost/`, what was fetched under its registry's
    name; an id is its own.
    """
    first, slash, _ = reference.partition("/")
    if reference.startswith(_ID_PREFIX) or (slash and _is_registry(first)):
        return (reference,)
    return (f"{LOCAL}{reference}", _registry_name(reference), reference)


def _registry_name(reference: str) -> str:
    """Where Docker would fetch an image of this name from."""
    first, slash, _ = reference.partition("/")
    if slash and _is_registry(first):
        return reference
    return f"{_HUB}{reference}" if slash else f"{_HUB}library/{reference}"


def _is_registry(part: str) -> bool:
    return part == "localhost" or "." in part or ":" in part


def _details(image: Mapping[str, Any], names: list[str] | None) -> ImageDetails:
    return ImageDetails(
        image_id=f"{_ID_PREFIX}{image['Id']}",
        tags=tuple(name.removeprefix(LOCAL) for name in names or ()),
        labels=image.get("Labels") or {},
        size_bytes=int(image["Size"]),
        # Podman gives a digest to what no registry has, too.
        registry_digests=tuple(
            digest for digest in image.get("RepoDigests") or () if not digest.startswith(LOCAL)
        ),
    )
