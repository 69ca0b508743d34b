"""A build without a container engine: its files in a folder, and the definition beside them."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from orchestration.image_sources import SOURCE_DATE, ImageSources
from orchestration.images import find_packages
from orchestration.package_sources import PackageSources
from orchestration.settings import BuildSettings
from orchestration.sif.archives import archived_images
from orchestration.sif.definition import ARGUMENTS_FILE, arguments_script, definition
from orchestration.sif.dockerfile import read_dockerfile
from orchestration.sif.store import SUFFIX

DEFINITION_FILE = "image.def"
_BASE_FILE = "base"


def prepare_recipe(
    sources: ImageSources,
    settings: BuildSettings,
    folder: Path,
    environment: Mapping[str, str],
) -> str:
    """Put the context and the definition file of an image into a folder.

    Args:
        sources: of the image.
        settings: base images and the wheelhouse. A base image may be a SIF file or an archive, too.
        folder: an empty one.
        environment: the caller's.

    Returns:
        Name of the definition file.

    Raises:
        ImageBuildFailed: the wheelhouse is missing or lacks packages.
        ImageUnusable: the base image is no archive of one.
    """
    is_first = sources.stage == "extract"
    named = settings.extract_base_image if is_first else settings.load_base_image
    bootstrap, base, title, digest = _base_image(named, folder)
    packages = find_packages(sources, settings)
    _write_context(sources, packages, folder)
    given = {
        **packages.arguments,
        "BASE_IMAGE": title,
        "BASE_NAME": title,
        "BASE_DIGEST": digest,
        **_own_arguments(sources, environment),
    }
    stages = read_dockerfile(sources.files[sources.dockerfile].decode(), given)
    context = [*sources.files, *packages.files]
    _write_secret(folder / ARGUMENTS_FILE, arguments_script(stages[0]))
    text = definition(stages, context, bootstrap, base)
    (folder / DEFINITION_FILE).write_text(text, encoding="utf-8")
    return DEFINITION_FILE


def _own_arguments(sources: ImageSources, environment: Mapping[str, str]) -> dict[str, str]:
    """Build arguments that follow from the image's sources, and the time that the caller fixes."""
    given = {"CONTENT": sources.content_hash()}
    if environment.get(SOURCE_DATE):
        given[SOURCE_DATE] = environment[SOURCE_DATE]
    if sources.torch_variant:
        given["TORCH"] = sources.torch_variant
    return given


def _write_context(sources: ImageSources, packages: PackageSources, folder: Path) -> None:
    """The files that the recipe copies; packages are large, so they are linked."""
    for name, content in sources.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, source in packages.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.realpath(source))


def _write_secret(path: Path, text: str) -> None:
    """Its keeper alone may read it: an index's address may hold a password."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _base_image(named: str, folder: Path) -> tuple[str, str, str, str]:
    """How Apptainer gets the base image, what it is called for that, its title, and its digest.

    An image keeps its title, so of a file it is the name without the folders of whoever builds.
    """
    path = Path(named)
    if not path.is_file():
        return "docker", named, named, "unknown"
    if not named.endswith(SUFFIX) and tarfile.is_tarfile(path):
        bootstrap, name = archived_images(path)[0].transport, f"{_BASE_FILE}.tar"
    else:
        bootstrap, name = "localimage", f"{_BASE_FILE}{SUFFIX}"
    (folder / name).symlink_to(path.resolve())
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return bootstrap, name, path.name, f"sha256:{digest.hexdigest()}"
