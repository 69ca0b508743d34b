"""Names of files in a bag: what may be one, and which are looked for."""

from __future__ import annotations

from typing import Final

from orchestration.archive.bag.tag_files import DECLARATION_FILE, INFO_FILE, manifest_name
from orchestration.archive.layout import HASHES, PAYLOAD, README, SIGNATURE

MANIFESTS: Final = {algorithm: manifest_name(algorithm) for algorithm in HASHES}
TAG_MANIFESTS: Final = {algorithm: manifest_name(algorithm, of_tags=True) for algorithm in HASHES}
# What no tag manifest can list, for it is made after them.
OUTSIDE_TAG_MANIFESTS: Final = frozenset({*TAG_MANIFESTS.values(), SIGNATURE})
TAG_FILES: Final = frozenset(
    {DECLARATION_FILE, INFO_FILE, README, *MANIFESTS.values(), *OUTSIDE_TAG_MANIFESTS}
)
MOST_TAG_FILE_BYTES: Final = 64 << 20
_MOST_PATH_BYTES: Final = 4096
_MOST_NAME_BYTES: Final = 255


def is_payload(path: str) -> bool:
    """Whether a path lies in the payload folder."""
    return path.startswith(f"{PAYLOAD}/")


def why_unsafe(path: str) -> str | None:
    """What is wrong with a path inside of a bag; None = it stays where it belongs.

    Args:
        path: with "/" between the names, relative to the bag's folder.
    """
    encoded = path.encode("utf-8", "surrogateescape")
    if not path or "\0" in path or len(encoded) > _MOST_PATH_BYTES:
        return "it is empty, too long, or holds a null character"
    names = path.split("/")
    if "" in names or "." in names or ".." in names:
        return "it leads out of the bag, or is not written in the shortest way"
    if any(len(name.encode("utf-8", "surrogateescape")) > _MOST_NAME_BYTES for name in names):
        return "one of its names is too long for a file system"
    return None
