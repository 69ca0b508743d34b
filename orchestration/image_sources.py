"""What a stage's image is made from, and the name that follows from it.

An image's tag is a hash of its sources, so an image that is older than the checkout has another
name than the one asked for: it can be noticed, never mistaken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestration.run_paths import PROJECT, repository_folder
from orchestration.runtimes.base import Stage
from orchestration.settings import TorchVariant
from orchestration.tar_stream import END, file_pieces, tar_member

REPOSITORIES: Mapping[Stage, str] = MappingProxyType(
    {"extract": f"{PROJECT}/extract", "load": f"{PROJECT}/load"}
)
# The contract belongs to stage_extract; the load image gets a copy.
CONTRACT = "stage_extract/contract_v1.json"
TAG_DIGITS = 12
# Variable and build argument: seconds since 1970 (reproducible-builds.org, "SOURCE_DATE_EPOCH").
SOURCE_DATE = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class ImageSources:
    """Everything that decides what is in one stage's image, its base image apart.

    Attributes:
        stage: which stage.
        torch_variant: "cpu" or "cuda" for the load stage, None for the extract stage.
        files: path inside the project -> content, sorted by path.
    """

    stage: Stage
    torch_variant: TorchVariant | None
    files: Mapping[str, bytes]

    @classmethod
    def read(
        cls, stage: Stage, torch_variant: TorchVariant, root: Path | None = None
    ) -> ImageSources:
        """Read the Dockerfile, the lock and the stage's files from a checkout; None = this one."""
        root = root or repository_folder()
        variant = torch_variant if stage == "load" else None
        paths = [root / _dockerfile(stage), root / _lock(stage, variant)]
        # Without TensorFlow, stage 1 runs in the image of stage 2.
        paths += _stage_files(root / "stage_extract")
        paths += _stage_files(root / f"stage_{stage}")
        names = sorted({path.relative_to(root).as_posix() for path in paths})
        return cls(stage, variant, {name: (root / name).read_bytes() for name in names})

    @property
    def dockerfile(self) -> str:
        """Path of the Dockerfile inside the context."""
        return _dockerfile(self.stage)

    @property
    def lock(self) -> str:
        """Path of the hash-locked requirements inside the context."""
        return _lock(self.stage, self.torch_variant)

    def content_hash(self) -> str:
        """SHA-256 over names and contents of all files."""
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @property
    def reference(self) -> str:
        """Name and tag of the image, such as `tf1-to-torch/load:cpu-0123456789ab`."""
        prefix = f"{self.torch_variant}-" if self.torch_variant else ""
        return f"{REPOSITORIES[self.stage]}:{prefix}{self.content_hash()[:TAG_DIGITS]}"

    def context(self, further: Mapping[str, Path] = MappingProxyType({})) -> Iterator[bytes]:
        """The build context as a tar file, in pieces: large wheels are never held in memory.

        Owner and time of every member are fixed: equal sources give equal layers.

        Args:
            further: path inside the context -> file that is only needed while building.
        """
        for name, content in self.files.items():
            yield from tar_member(name, len(content), [content])
        for name, path in further.items():
            yield from tar_member(name, path.stat().st_size, file_pieces(path))
        yield END


def _dockerfile(stage: Stage) -> str:
    return f"docker/Dockerfile.{stage}"


def _lock(stage: Stage, variant: TorchVariant | None) -> str:
    return f"docker/requirements-{stage}{f'-{variant}' if variant else ''}.txt"


def _stage_files(folder: Path) -> list[Path]:
    """Files of a stage, without what interpreters, checkers and editors leave beside them."""

    def is_source(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return not any(part == "__pycache__" or part.startswith(".") for part in parts)

    return [path for path in folder.rglob("*") if path.is_file() and is_source(path)]
