"""What `archive` was asked for, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestration.archive.crate.facts import Creator
from orchestration.result_folder import Asked

BAG: Final = Asked("--bag", "A bag needs the size of all that is in it and cannot be shared.")
STREAM_SUFFIX: Final = ".tar.zst"


@dataclass(frozen=True)
class ArchiveOptions:
    """`orchestrate.py archive RESULT --bag PATH`.

    Attributes:
        result: the result folder.
        bag: what to make: a folder, or one file where its name ends in ".tar.zst".
        with_images: put the images away, too.
        with_wheelhouse: put packages away, too.
        wheelhouse: folder that has them, or is to be filled; None = they are collected for this.
        code: folder with the old training code, or None.
        with_program: put this program's own source away, too.
        license: SPDX identifier or expression, an address, or None; see `license_file`.
        license_file: file with its text, or None.
        creators: who made what is archived.
        citation: file that tells how to cite it, or None.
        doi: as `crate.facts.parse_doi` gives it, or None.
        sign: file of a private key, or None.
        force: an earlier bag may be replaced.
    """

    result: Path
    bag: Path
    with_images: bool = False
    with_wheelhouse: bool = False
    wheelhouse: Path | None = None
    code: Path | None = None
    with_program: bool = True
    license: str | None = None
    license_file: Path | None = None
    creators: tuple[Creator, ...] = ()
    citation: Path | None = None
    doi: str | None = None
    sign: Path | None = None
    force: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether the bag is to be one file."""
        return self.bag.name.endswith(STREAM_SUFFIX)
