"""What a verification found: one verdict a link, with every fault named."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from orchestration.errors import (
    EXIT_OK,
    BagDamaged,
    NotReproduced,
    ProofBroken,
    SignatureInvalid,
)

# In the order in which they are checked and shown.
Link = Literal["fixity", "signature", "records", "export", "mapping", "proof", "rerun"]
State = Literal["ok", "failed", "not_checked"]
Kind = Literal[
    "changed",
    "missing",
    "extra",
    "renamed",
    "swapped",
    "duplicate",
    "unsafe",
    "unreadable",
    "malformed",
    "contradicted",
    "not reproduced",
]

# The first link that failed gives it.
_EXIT_CODES: Final[Mapping[Link, int]] = {
    "fixity": BagDamaged.exit_code,
    "signature": SignatureInvalid.exit_code,
    "records": ProofBroken.exit_code,
    "export": ProofBroken.exit_code,
    "mapping": ProofBroken.exit_code,
    "proof": ProofBroken.exit_code,
    "rerun": NotReproduced.exit_code,
}
FORMAT: Final = "tf1-to-torch-verification"
VERSION: Final = 1


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be.

    Attributes:
        path: which file, from the bag's own folder on.
        kind: one word or two for programs.
        text: what was found and what was expected, for people.
    """

    path: str
    kind: Kind
    text: str

    def to_json(self) -> dict[str, Any]:
        """These fields as a JSON object."""
        return {"path": self.path, "kind": self.kind, "text": self.text}


@dataclass(frozen=True)
class Verdict:
    """What became of one link.

    Attributes:
        link: which.
        state: "not_checked" is no failure, and never hidden: `details` tells why.
        details: what was compared, or why nothing was.
        faults: of a failed link, each thing that is wrong.
        notes: what people should know besides.
    """

    link: Link
    state: State
    details: str
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """These fields as a JSON object."""
        return {
            "link": self.link,
            "state": self.state,
            "details": self.details,
            "faults": [fault.to_json() for fault in self.faults],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Verification:
    """Verdicts over all links of a bag, in their order.

    Attributes:
        bag: what was verified.
        verdicts: one a link.
        hindrance: exit code of what kept a link from being checked (an engine that is missing), or
            None: an answer that was asked for and not given is no success.
    """

    bag: Path
    verdicts: Sequence[Verdict]
    hindrance: int | None = None

    @property
    def failed(self) -> list[Verdict]:
        """The links that do not hold."""
        return [verdict for verdict in self.verdicts if verdict.state == "failed"]

    @property
    def exit_code(self) -> int:
        """0, or that of the first link that failed, or of what kept one from being checked."""
        if self.failed:
            return _EXIT_CODES[self.failed[0].link]
        return EXIT_OK if self.hindrance is None else self.hindrance

    def to_json(self) -> dict[str, Any]:
        """The answer of `verify --json`."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "bag": os.fspath(self.bag),
            "state": "failed" if self.failed else "ok",
            "exit_code": self.exit_code,
            "links": [verdict.to_json() for verdict in self.verdicts],
        }


def judged(link: Link, faults: Sequence[Fault], details: str, notes: Sequence[str] = ()) -> Verdict:
    """The verdict of a link that was checked: it holds if nothing is wrong."""
    ordered = tuple(sorted(set(faults), key=lambda fault: (fault.path, fault.kind, fault.text)))
    return Verdict(link, "failed" if ordered else "ok", details, ordered, tuple(notes))


def not_checked(link: Link, why: str, notes: Sequence[str] = ()) -> Verdict:
    """The verdict of a link that nothing was found out about."""
    return Verdict(link, "not_checked", why, (), tuple(notes))
