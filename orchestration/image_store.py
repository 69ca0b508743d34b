"""Images and containers as every engine shows them, whoever is asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ImageDetails:
    """One image as the engine holds it.

    Attributes:
        image_id: digest of the image's configuration, "sha256:…".
        tags: its names.
        labels: its labels.
        size_bytes: unpacked, all layers.
        registry_digests: "NAME@sha256:…" for each registry that it is known from.
    """

    image_id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size_bytes: int
    registry_digests: tuple[str, ...] = ()

    def digest_of(self, reference: str) -> str:
        """What anyone can fetch it by who asks a registry for `reference`, else its id."""
        repository = reference.partition("@")[0]
        if ":" in repository.rpartition("/")[2]:
            repository = repository.rpartition(":")[0]
        for known in sorted(self.registry_digests):
            name, _, digest = known.partition("@")
            if f"/{name}".endswith(f"/{repository}"):
                return digest
        return self.image_id


@dataclass(frozen=True)
class ContainerSummary:
    """One container of a listing. `running` is False once its process has ended."""

    container_id: str
    labels: Mapping[str, str]
    running: bool


class ImageStore(Protocol):
    """Whoever keeps and builds images: a Docker engine, or Podman.

    Every method raises `EngineRefused` with the engine's own words when it refuses.
    """

    @property
    def program(self) -> str:
        """Name of its command line, for people."""

    def own_name(self, reference: str) -> str:
        """The full name of an image that is built here under `reference`."""

    def info(self) -> dict[str, Any]:
        """What it says of itself, in the terms of `docker info`."""

    def find_image(self, reference: str) -> ImageDetails | None:
        """The image of this name, or None. Nothing is pulled."""

    def list_images(self, repository: str) -> list[ImageDetails]:
        """All images of a repository, newest first."""

    def pull_image(self, reference: str) -> Iterator[str]:
        """Fetch an image from its registry; yields a line now and then."""

    def build_image(self, context: Iterator[bytes], arguments: Mapping[str, Any]) -> Iterator[str]:
        """Build an image; yields its log line by line.

        Args:
            context: the build context, a tar file in pieces.
            arguments: further ones of the Docker SDK's low-level `build`.

        Raises:
            ImageBuildFailed: a step failed.
        """

    def close(self) -> None:
        """Give the connection up."""


class ImageSource(ImageStore, Protocol):
    """One that gives images away and takes them, as archives."""

    def save_image(self, reference: str) -> Iterator[bytes]:
        """An image as an archive of this engine's kind, in pieces."""

    def load_images(self, archive: Iterator[bytes]) -> Iterator[str]:
        """Take the images of an archive; yields the log line by line."""
