"""What `export --to huggingface` was asked for, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class License:
    """Under which licence a model is published.

    Attributes:
        name: an SPDX identifier, an address, or the name of a file.
        text: file with the licence's text, or None.
    """

    name: str
    text: Path | None = None


@dataclass(frozen=True)
class HubOptions:
    """`orchestrate.py export SOURCE --to huggingface`.

    Attributes:
        source: a result folder, or an archive (a bag), be it a folder or a .tar.zst.
        out: the folder to make.
        license: of the model; None = what the archive tells.
        force: an earlier folder of this kind may be replaced.
    """

    source: Path
    out: Path
    license: License | None = None
    force: bool = False
