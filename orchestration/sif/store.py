"""The images as files of Apptainer's: where they lie, and which bytes they are."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestration.errors import EngineRefused, FeatureUnavailable, ImageUnusable
from orchestration.image_store import ImageDetails
from orchestration.run_paths import cache_folder
from orchestration.runtimes.apptainer_arguments import caller_environment
from orchestration.sif.program import Program, run

SUFFIX = ".sif"
RECORD_FILE = "sif-images.json"
# A tag of this project's images never holds two of them.
_SEPARATOR = "--"
_PIECE_BYTES = 1 << 20


class SifStore:
    """SIF files in the user's cache folder, or where `build` was told to put them.

    A file's name says what it was made from, so one of older sources is never taken. Its SHA-256 is
    read once and remembered with the file's size, time and inode: images may be large and lie on a
    file system that hundreds of jobs share.

    Args:
        program: the installation.
        environment: the caller's.
    """

    program = "apptainer"

    def __init__(self, program: Program, environment: Mapping[str, str]) -> None:
        self._program = program
        self._environment = environment
        self._record = cache_folder(environment) / RECORD_FILE

    @property
    def folder(self) -> Path:
        """Where images lie unless `build` was told otherwise."""
        return default_folder(self._environment)

    def own_name(self, reference: str) -> str:
        """Name of an image that is built here: for records, apart from those of engines."""
        return f"{reference}{SUFFIX}"

    def info(self) -> dict[str, Any]:
        """Version and machine, in the terms of `docker info`."""
        return {"ServerVersion": self._program.version, "Architecture": platform.machine()}

    def path(self, reference: str) -> Path:
        """Where the file of an image lies, or would lie.

        Args:
            reference: name and tag of one of this project's images, or the path of a SIF file.
        """
        if reference.endswith(SUFFIX):
            return Path(os.path.realpath(reference))
        return self.named(file_name(reference))

    def named(self, name: str) -> Path:
        """Where the file of this name lies, in the cache folder or elsewhere, or would lie."""
        default = self.folder / name
        if default.is_file():
            return default
        elsewhere = (Path(path) for path in self._records() if path.endswith(f"/{default.name}"))
        return next((path for path in elsewhere if path.is_file()), default)

    def find_image(self, reference: str) -> ImageDetails | None:
        """The image of this name or path, or None.

        Raises:
            ImageUnusable: the file is not an image, or may not be read.
        """
        path = self.path(reference)
        return self._details(path, reference) if path.is_file() else None

    def list_images(self, repository: str) -> list[ImageDetails]:
        """All images of a repository in the user's cache folder, newest first."""
        begin = file_name(f"{repository}:").removesuffix(SUFFIX)
        found = sorted(
            self.folder.glob(f"{begin}*{SUFFIX}"), key=lambda one: one.stat().st_mtime_ns
        )
        tags = {path: path.name[len(begin) : -len(SUFFIX)] for path in reversed(found)}
        return [self._details(path, f"{repository}:{tag}") for path, tag in tags.items()]

    def pull_image(self, reference: str) -> Iterator[str]:
        """Images are not fetched.

        Raises:
            FeatureUnavailable: always.
        """
        raise _not_an_engine()

    def build_image(self, context: Iterator[bytes], arguments: Mapping[str, Any]) -> Iterator[str]:
        """Images are made by `orchestration.sif.build`, not from contexts.

        Raises:
            FeatureUnavailable: always.
        """
        raise _not_an_engine()

    def close(self) -> None:
        """Nothing is held open."""

    def _details(self, path: Path, reference: str) -> ImageDetails:
        try:
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
            records = self._records()
            record = records.get(os.fspath(path))
            if record is None or record["stamp"] != stamp:
                record = {
                    "stamp": stamp,
                    "digest": f"sha256:{_sha256(path)}",
                    "labels": labels(self._program, path, self._environment),
                }
                self._remember({**records, os.fspath(path): record})
        except (OSError, EngineRefused) as error:
            said = error.happened if isinstance(error, EngineRefused) else error.strerror
            raise unusable(path, str(said)) from error
        return ImageDetails(record["digest"], (reference,), record["labels"], status.st_size)

    def _records(self) -> dict[str, dict[str, Any]]:
        """What is remembered; of a file that is damaged, or not to be read, nothing."""
        try:
            found = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return {}
        records = found.items() if isinstance(found, dict) else ()
        return {path: record for path, record in records if _is_record(record)}

    def _remember(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        kept = {path: record for path, record in records.items() if os.path.exists(path)}
        # On a folder that machines share, two processes may have the same number.
        partial = self._record.with_name(f".{self._record.name}.{secrets.token_hex(8)}")
        # A compute node may not write to the home folder: then it reads the file again next time.
        with suppress(OSError):
            self._record.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            partial.replace(self._record)


def default_folder(environment: Mapping[str, str]) -> Path:
    """Where a user's images lie unless `build` is told otherwise."""
    return cache_folder(environment) / "images"


def file_name(reference: str) -> str:
    """Name of an image's file: of `project/load:cpu-01ab` it is `project--load--cpu-01ab.sif`."""
    return reference.replace("/", _SEPARATOR).replace(":", _SEPARATOR) + SUFFIX


def labels(program: Program, path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Labels of a SIF file.

    Raises:
        EngineRefused: it is none, or may not be read.
    """
    text = run(
        program.path, ["inspect", "--json", os.fspath(path)], caller_environment(environment)
    )
    attributes = json.loads(text)["data"]["attributes"]
    return {str(name): str(value) for name, value in (attributes.get("labels") or {}).items()}


def unusable(path: Path, said: str) -> ImageUnusable:
    """The error for a file that is no image of this project's, or damaged."""
    return ImageUnusable(
        f"The image {path} cannot be used: {said.rstrip('.')}.",
        "A whole SIF file that you may read was expected, made from one of this project's images.",
        "Make it with `python orchestrate.py build --runtime apptainer`, or copy it again and"
        " compare checksums.",
    )


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"stamp", "digest", "labels"}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _not_an_engine() -> FeatureUnavailable:
    return FeatureUnavailable(
        "Apptainer was asked to do what only a container engine does.",
        "Images that are there already were expected.",
        "Make them with `python orchestrate.py build --runtime apptainer`.",
    )
