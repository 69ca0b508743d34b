"""What an archive's metadata is told besides the run itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_CREATOR: Final = re.compile(r"(?P<name>[^<>]*[^<>\s])\s*(?:<(?P<contact>[^<>]*)>)?")
_ORCID: Final = re.compile(
    r"(?:(?:https?://)?orcid\.org/)?(?P<digits>\d{4}-\d{4}-\d{4}-\d{3}[\dX])", re.IGNORECASE
)
_MAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_DOI: Final = re.compile(
    r"(?:doi:|(?:https?://)?(?:dx\.)?doi\.org/)?(?P<doi>10\.\d{4,9}/\S+)", re.IGNORECASE
)


@dataclass(frozen=True)
class FileFact:
    """A file of the payload.

    Attributes:
        path: below `data/`, such as "result/config.json".
        size_bytes: its size.
        sha256: its hash, in hexadecimal digits.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Creator:
    """Someone who made what is archived.

    Attributes:
        name: as it is to be cited.
        orcid: 16 digits in groups of 4, or None.
        mail: an address, or None.
    """

    name: str
    orcid: str | None = None
    mail: str | None = None

    @classmethod
    def parse(cls, text: str) -> Creator:
        """Read "Ada Lovelace <0000-0002-1825-0097>" or "… <ada@example.org>", or a name alone.

        Raises:
            ValueError: it is none of those, or the ORCID's check digit is wrong.
        """
        found = _CREATOR.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not of the form 'Name <ORCID or mail address>'")
        name, contact = found["name"], (found["contact"] or "").strip()
        orcid = _ORCID.fullmatch(contact)
        if orcid is not None:
            digits = orcid["digits"].upper()
            if _orcid_check_digit(digits) != digits[-1]:
                raise ValueError(f"{digits} is no ORCID: its last digit does not fit the others")
            return cls(name, orcid=digits)
        if _MAIL.fullmatch(contact):
            return cls(name, mail=contact)
        if found["contact"] is not None:
            raise ValueError(f"{contact!r} is neither an ORCID nor a mail address")
        return cls(name)


@dataclass(frozen=True)
class ArchiveFacts:
    """What is told about an archive by whoever makes it.

    Attributes:
        created: the archive's date, or date and time, by ISO 8601.
        license: an SPDX identifier or expression, an http(s) address, the path of its text below
            `data/`, or None.
        creators: who made what is archived.
        citation: path of the citation's file below `data/`, or None.
        doi: as `parse_doi` gives it, or None.
        code_version: of the old training code, such as a commit, or None.
        renamed: path below `data/` -> former path there, of files whose names had to be changed.
    """

    created: str
    license: str | None = None
    creators: tuple[Creator, ...] = ()
    citation: str | None = None
    doi: str | None = None
    code_version: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


def parse_doi(text: str) -> str:
    """A DOI as it stands in an address, from "10.5281/zenodo.1", "doi:10…" or "https://doi.org/10…".

    Raises:
        ValueError: it is no DOI.
    """
    found = _DOI.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no DOI, such as 10.5281/zenodo.1234567")
    return found["doi"]


def _orcid_check_digit(orcid: str) -> str:
    """The last digit by ISO 7064 MOD 11-2, which ORCID uses."""
    total = 0
    for digit in orcid.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    result = (12 - total % 11) % 11
    return "X" if result == 10 else str(result)
