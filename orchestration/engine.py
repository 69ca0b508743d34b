"""The container engine, through the Docker SDK.

The one file that imports the SDK: everything else speaks to `Engine`. The imports name what they
need, because `import docker` alone succeeds without the SDK: it then finds this project's folder
`docker/` and yields an empty package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from docker import DockerClient
from docker.context import ContextAPI
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from orchestration.engine_access import START_HINT, check_socket
from orchestration.errors import EngineNotRunning, EngineRefused, ImageBuildFailed
from orchestration.image_store import ContainerSummary, ImageDetails
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.streams import Attachment

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 60
PODMAN_COMPONENT = "Podman Engine"
# Podman's own interface; it answers every version from its own down to 4.0.0.
PODMAN_INFO_PATH = "/v4.0.0/libpod/info"


class Engine:
    """One connection to a container engine. Not for use by several threads at a time.

    Every method raises `EngineNotRunning` when the engine is gone, and `EngineRefused` with the
    engine's own words when it refuses.

    Attributes:
        is_here: it is reached by a socket of this machine.
    """

    program = "docker"

    def __init__(self, client: DockerClient, is_here: bool) -> None:
        self._client = client
        self.is_here = is_here

    @classmethod
    def connect(cls, environment: Mapping[str, str] = os.environ) -> Engine:
        """Connect to the engine of `DOCKER_HOST`, the current docker context or the default socket.

        Raises:
            EngineNotInstalled, EngineNotRunning, EngineForbidden: as they say.
        """
        address = engine_address(environment)
        check_socket(address)
        try:
            client = DockerClient.from_env(
                version="auto", timeout=CONNECT_TIMEOUT_S, environment=dict(environment)
            )
        except (DockerException, RequestException) as error:
            raise EngineNotRunning(
                f"The container engine at {address} does not answer: {error}.",
                "A running Docker engine, version 20.10 or later, was expected there.",
                START_HINT,
            ) from error
        return cls(client, address.startswith("unix://"))

    def close(self) -> None:
        """Give the connection up."""
        self._client.close()

    def own_name(self, reference: str) -> str:
        """The name of an image that is built here under `reference`."""
        return reference

    def info(self) -> dict[str, Any]:
        """What the engine says of itself (`docker info`); Podman's errors in it are mended."""
        with _translated():
            information = dict(self._client.info())
        podman = self.podman()
        return information if podman is None else information | podman.in_docker_terms()

    def podman(self) -> PodmanFacts | None:
        """What Podman says of itself, where it is Podman that answers in Docker's place."""
        with _translated():
            parts = self._client.version().get("Components") or ()
            if not any(part["Name"] == PODMAN_COMPONENT for part in parts):
                return None
            api = self._client.api
            answer = api.get(f"{api.base_url}{PODMAN_INFO_PATH}", timeout=CONNECT_TIMEOUT_S)
            answer.raise_for_status()
            return PodmanFacts.read(answer.json())

    def find_image(self, reference: str) -> ImageDetails | None:
        """The image of this name, or None. Nothing is pulled."""
        with _translated():
            try:
                details = self._client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
                return _image_details(details)
            except ImageNotFound:
                return None

    def describe_image(self, reference: str) -> tuple[str, dict[str, Any]]:
        """The commands that made an image, in one text, and its configuration."""
        with _translated():
            history = self._client.api.history(reference)  # type: ignore[no-untyped-call]
            details = self._client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
        return "\n".join(str(layer["CreatedBy"]) for layer in history), dict(details["Config"])

    def list_images(self, repository: str) -> list[ImageDetails]:
        """All images of a repository, newest first."""
        with _translated():
            found = self._client.api.images(name=repository)
        return [
            ImageDetails(
                image["Id"],
                tuple(image["RepoTags"] or ()),
                image["Labels"] or {},
                image["Size"],
            )
            for image in sorted(found, key=lambda image: int(image["Created"]), reverse=True)
        ]

    def pull_image(self, reference: str) -> Iterator[str]:
        """Fetch an image from its registry; yields a line now and then."""
        with _translated():
            for event in self._client.api.pull(reference, stream=True, decode=True):
                if "error" in event:
                    raise EngineRefused(
                        f"The image {reference} could not be fetched: {event['error']}.",
                        "A registry that has it was expected.",
                        "Check the name and the network, or name another base image.",
                    )
                if event.get("status") and "progressDetail" not in event:
                    yield f"{reference}: {event['status']}"

    def build_image(self, context: Iterator[bytes], arguments: Mapping[str, Any]) -> Iterator[str]:
        """Build an image; yields its log line by line.

        Args:
            context: the build context, a tar file in pieces.
            arguments: further ones of the SDK's low-level `build`.

        Raises:
            ImageBuildFailed: a step failed.
        """
        with _translated():
            # The SDK hands the context on to requests, which takes any iterator of bytes.
            stream: Any = context
            events = self._client.api.build(
                fileobj=stream, custom_context=True, decode=True, **arguments
            )
            for event in events:
                if "error" in event:
                    raise ImageBuildFailed(
                        f"{arguments['tag']} could not be built: {event['error'].strip()}.",
                        "Every step of its Dockerfile was expected to succeed.",
                        "Read the build log above; without network, pass `--wheelhouse FOLDER`.",
                    )
                yield from (line for line in event.get("stream", "").splitlines() if line.strip())

    def save_image(self, reference: str) -> Iterator[bytes]:
        """An image with its name as an archive, in pieces."""
        with _translated(), self._without_hurry():
            yield from self._client.api.get_image(reference)

    def load_images(self, archive: Iterator[bytes]) -> Iterator[str]:
        """Take the images of an archive; yields the log line by line."""
        with _translated(), self._without_hurry():
            # The SDK hands the archive on to requests, which takes any iterator of bytes.
            api: Any = self._client.api
            for event in api.load_image(archive, quiet=False):
                if "error" in event:
                    raise EngineRefused(
                        f"The images could not be loaded: {event['error'].strip()}.",
                        "A whole archive of images was expected, and room for what is in it.",
                        "Run `docker system df`, or save the images again.",
                    )
                yield from event.get("stream", "").splitlines()

    @contextmanager
    def _without_hurry(self) -> Iterator[None]:
        """The engine writes a whole image to its disk before it says the first word."""
        api: Any = self._client.api
        timeout_s, api.timeout = api.timeout, None
        try:
            yield
        finally:
            api.timeout = timeout_s

    def create_container(self, arguments: Mapping[str, Any]) -> str:
        """Create a container from arguments of the SDK's `containers.create`; returns its id."""
        with _translated():
            return str(self._client.containers.create(**arguments).id)

    def attach(self, container_id: str) -> Attachment:
        """Connect to a container's streams; before its start, so that nothing it says is lost."""
        wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with _translated():
            return Attachment(self._client.api.attach_socket(container_id, params=wanted))

    def start_container(self, container_id: str) -> None:
        """Start a created container."""
        with _translated():
            self._client.api.start(container_id)

    def wait_container(self, container_id: str) -> int:
        """Wait for the end of a container; returns its exit code."""
        with _translated():
            return int(self._client.api.wait(container_id, timeout=None)["StatusCode"])

    def container_state(self, container_id: str) -> dict[str, Any]:
        """The engine's record of a container's process: Running, ExitCode, OOMKilled …"""
        with _translated():
            return dict(self._client.api.inspect_container(container_id)["State"])

    def remove_container(self, name_or_id: str) -> None:
        """Kill and remove a container; one that is gone, or going, is no error."""
        with _translated():
            try:
                self._client.api.remove_container(name_or_id, force=True, v=True)
            except NotFound:
                return
            except APIError as error:
                if "already in progress" not in str(error.explanation):
                    raise

    def list_containers(self, label: str) -> list[ContainerSummary]:
        """All containers with a label, ended ones too."""
        with _translated():
            found = self._client.api.containers(all=True, filters={"label": label})
        return [
            ContainerSummary(item["Id"], item["Labels"] or {}, item["State"] == "running")
            for item in found
        ]


def engine_address(environment: Mapping[str, str]) -> str:
    """`DOCKER_HOST`, else the address of the current docker context, else the default socket."""
    if environment.get("DOCKER_HOST"):
        return environment["DOCKER_HOST"]
    try:
        context = ContextAPI.kwargs_from_context(environment=environment)
    except DockerException as error:
        raise EngineNotRunning(
            f"The current docker context cannot be used: {error}.",
            "A context that `docker context ls` lists was expected.",
            "Run `docker context use default`, or pass `--runtime local`.",
        ) from error
    return str(context.get("base_url", DEFAULT_ADDRESS))


def _image_details(attributes: Mapping[str, Any]) -> ImageDetails:
    return ImageDetails(
        image_id=attributes["Id"],
        tags=tuple(attributes["RepoTags"] or ()),
        labels=attributes["Config"].get("Labels") or {},
        size_bytes=attributes["Size"],
        registry_digests=tuple(attributes.get("RepoDigests") or ()),
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the SDK's exceptions into this program's."""
    try:
        yield
    except (APIError, BuildError) as error:
        explanation = getattr(error, "explanation", None) or str(error)
        raise EngineRefused(
            f"The container engine refused: {explanation}.",
            "It was expected to do as asked.",
            "Run `python orchestrate.py doctor` to see what works on this machine.",
        ) from error
    except (RequestException, DockerException) as error:
        raise EngineNotRunning(
            f"The container engine stopped answering: {error}.",
            "It was expected to run until the work is done.",
            START_HINT,
        ) from error
