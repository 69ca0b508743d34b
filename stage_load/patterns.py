"""Regular expressions by which a user names tensors or variables; each must match a whole name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stage_load.errors import PatternInvalid
from stage_load.names import NameIndex


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of one option, such as ``--freeze``."""

    option: str
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check every pattern.

        Raises:
            PatternInvalid: one is no regular expression; tells where.
        """
        for text in self.texts:
            try:
                re.compile(text)
            except re.error as error:
                raise _invalid(
                    f"{self.option} {text!r} is no regular expression: {error}."
                ) from error

    def match(self, name: str) -> bool:
        """Whether one of the patterns matches a whole name."""
        return any(re.fullmatch(text, name) for text in self.texts)

    def matching(self, names: Iterable[str], what: str) -> tuple[str, ...]:
        """Return the names that match, in their order; each pattern must match one of them.

        Args:
            names: what there is.
            what: they are, for the message.

        Raises:
            PatternInvalid: a pattern matches nothing; names the nearest.
        """
        known = list(names)
        for text in self.texts:
            if not any(re.fullmatch(text, name) for name in known):
                near = ", ".join(map(repr, NameIndex(known).nearest(text))) or "none"
                raise _invalid(f"{self.option} {text!r} matches no {what}; nearest: {near}.")
        return tuple(name for name in known if self.match(name))

    def idle(self, used: Sequence[str]) -> list[str]:
        """Return the patterns that match none of the names that were needed."""
        return [text for text in self.texts if not any(re.fullmatch(text, n) for n in used)]


def _invalid(happened: str) -> PatternInvalid:
    return PatternInvalid(
        happened,
        "Expected a regular expression that matches whole names, such as 'head\\..*'.",
        "Correct the pattern; mapping.csv and `inspect` list the names.",
    )
