"""What Podman's configuration puts into every container: no option of its keeps that out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAME = "containers.conf"
_SECTION = re.compile(r"^[ \t]*\[(?P<name>[\w.]+)\][ \t]*(?:#.*)?$", re.MULTILINE)
# A list of at least one text; it may begin on a later line.
_ADDITION = re.compile(
    r"^[ \t]*(?P<key>devices|env|mounts|volumes)[ \t]*=[ \t]*\[\s*(?=[\"'])", re.MULTILINE
)


def additions(environment: Mapping[str, str], root: Path = Path("/")) -> list[str]:
    """What is added, for people: the file, and which of its settings.

    Args:
        environment: what Podman is given.
        root: where the machine's own files start.
    """
    found = []
    for path in _files(environment, root):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            # Podman itself says what it cannot read.
            continue
        keys = sorted(set(_keys(text)))
        if keys:
            found.append(f"{path} ({', '.join(keys)})")
    return found


def _files(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    """The files that Podman reads, see containers.conf(5)."""
    only = environment.get("CONTAINERS_CONF")
    if only:
        yield Path(only)
        return
    home = Path(environment.get("HOME", "/"), ".config")
    own = Path(environment.get("XDG_CONFIG_HOME") or home)
    for folder in (root / "usr/share", root / "etc", own):
        yield folder / "containers" / _NAME
        yield from sorted((folder / "containers" / f"{_NAME}.d").glob("*.conf"))


def _keys(text: str) -> Iterator[str]:
    # [before, name, section, name, section, …]
    parts = _SECTION.split(text)
    for name, section in zip(parts[1::2], parts[2::2], strict=True):
        if name == "containers":
            yield from (match["key"] for match in _ADDITION.finditer(section))
