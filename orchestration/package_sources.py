"""Where the packages of an image come from: a wheelhouse, or what this machine's pip is told.

A build runs in a container, which sees neither this machine's pip settings nor its files: indexes
are handed to it as build arguments, local files and certificates lie in its context. All of them
stay in the build's first stage and never reach the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.pip_settings import PipSettings
from orchestration.settings import TorchVariant
from orchestration.wheelhouse import (
    find_files,
    normalised_name,
    package_files,
    read_lock,
    select_files,
)

# In the context; the Dockerfiles copy what is in this folder to BUILD_FOLDER.
CONTEXT_FOLDER = "wheelhouse"
BUILD_FOLDER = "/build"
CERTIFICATES = "certificates.pem"


@dataclass(frozen=True)
class PackageSources:
    """What a build is given to find its packages.

    Attributes:
        files: name inside the context -> file of this machine.
        arguments: build arguments, which pip reads as its settings.
        offline: the build needs no network.
    """

    files: Mapping[str, Path]
    arguments: Mapping[str, str]
    offline: bool


def from_wheelhouse(lock: str, folder: Path) -> PackageSources:
    """Everything from a folder.

    Raises:
        ImageBuildFailed: the folder is missing or lacks packages.
    """
    return PackageSources(_in_context(select_files(lock, folder)), {"PIP_NO_INDEX": "1"}, True)


def from_pip_settings(
    lock: str,
    torch_variant: TorchVariant | None,
    torch_index: str,
    pip: PipSettings,
    environment: Mapping[str, str],
) -> PackageSources:
    """From the indexes that pip uses here, and files from the folders that it looks into.

    Args:
        lock: text of the locked requirements.
        torch_variant: of the image; None when it has no torch.
        torch_index: where torch's CPU build is published; "" = nowhere but where pip looks.
        pip: this machine's settings.
        environment: the caller's, which may name a bundle of certificates for requests.
    """
    folders = [Path(link.removeprefix("file://")) for link in pip.find_links]
    found = [path for folder in folders if folder.is_dir() for path in find_files(lock, folder)]
    files = _in_context(found)
    indexes = [url for url in pip.extra_index_urls if _is_remote(url)]
    has_torch = any(path.name.startswith("torch-") for path in found)
    if torch_variant == "cpu" and torch_index and not has_torch:
        indexes.append(torch_index)
    arguments = {}
    if pip.index_url and _is_remote(pip.index_url):
        arguments["PIP_INDEX_URL"] = pip.index_url
    if indexes:
        arguments["PIP_EXTRA_INDEX_URL"] = " ".join(indexes)
    if pip.trusted_hosts:
        arguments["PIP_TRUSTED_HOST"] = " ".join(pip.trusted_hosts)
    certificates = pip.certificate or environment.get("REQUESTS_CA_BUNDLE")
    if certificates and Path(certificates).is_file():
        files[f"{CONTEXT_FOLDER}/{CERTIFICATES}"] = Path(certificates)
        arguments["PIP_CERT"] = f"{BUILD_FOLDER}/{CERTIFICATES}"
    return PackageSources(files, arguments, offline=False)


def sources_of_own(
    lock: str, wheelhouse: Path | None, pip: PipSettings, environment: Mapping[str, str]
) -> PackageSources:
    """Where an image's further packages come from; files of packages that it has stay out.

    Args:
        lock: text of what the image was made from.
        wheelhouse: a folder in place of every index, or None.
        pip: this machine's settings.
        environment: the caller's, which may name a bundle of certificates.
    """
    known = {normalised_name(package.name) for package in read_lock(lock)}
    if wheelhouse is not None:
        return PackageSources(_unknown_files(wheelhouse, known), {"PIP_NO_INDEX": "1"}, True)
    online = from_pip_settings("", None, "", pip, environment)
    folders = [Path(link.removeprefix("file://")) for link in pip.find_links]
    files = dict(online.files)
    for folder in folders:
        files |= _unknown_files(folder, known)
    return PackageSources(files, online.arguments, offline=False)


def _in_context(paths: list[Path]) -> dict[str, Path]:
    return {f"{CONTEXT_FOLDER}/{path.name}": path for path in paths}


def _unknown_files(folder: Path, known: set[str]) -> dict[str, Path]:
    return {
        f"{CONTEXT_FOLDER}/{path.name}": path
        for path in package_files(folder)
        if normalised_name(path.name.split("-")[0]) not in known
    }


def _is_remote(url: str) -> bool:
    return url.startswith(("http://", "https://"))
