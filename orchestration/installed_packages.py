"""What is installed in an environment, without starting its Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Of a package's folder of facts: NAME-VERSION.dist-info (PyPA, "Recording installed projects").
_SUFFIX = ".dist-info"


def installed_packages(python: Path) -> dict[str, str]:
    """Package name, as its folder has it, -> version, of a virtual environment's interpreter."""
    return dict(sorted(_packages(python.parent.parent)))


def _packages(environment: Path) -> Iterator[tuple[str, str]]:
    for folder in environment.glob("lib/python*/site-packages"):
        for path in folder.iterdir():
            if path.suffix == _SUFFIX:
                name, _, version = path.name.removesuffix(_SUFFIX).partition("-")
                yield name, version
