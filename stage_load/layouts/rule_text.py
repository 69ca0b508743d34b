"""Reads rules as they are written in ``mapping.csv``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from stage_load.layouts.adapted import Adapted, split_adapted
from stage_load.layouts.folded import FOLDED_TEXT, Folded, parse_folded
from stage_load.layouts.rule import (
    ARROW,
    AS_IS,
    AS_IS_TEXT,
    CONSTANT_TEXT,
    KEPT_TEXT,
    SKIP_TEXT,
    WHOLE,
    Constant,
    Kept,
    Part,
    Range,
    Rule,
    RuleError,
    Skip,
    Undecided,
    letters_of,
)

_PATTERN = re.compile(r"(?:[A-Z]|1|\((?:[A-Z])+\))+")
_SIZE = re.compile(r"([A-Z])=([1-9][0-9]{0,17})")
_RANGE = re.compile(r"([A-Z])=([0-9]{1,18}):([0-9]{1,18})")
_ORDER = re.compile(r"([A-Z])=([0-9]{1,18}(?:,[0-9]{1,18})+)")
_ADDED = re.compile(r"([A-Z])\+=([-+.e0-9]+(?:,[-+.e0-9]+)*)")
_PART = re.compile(r"@((?::|[0-9]{1,18}:[0-9]{1,18})(?:,(?::|[0-9]{1,18}:[0-9]{1,18}))*)")

AnyRule = Rule | Adapted | Constant | Folded | Kept | Skip | Undecided


@lru_cache(maxsize=1024)
def parse_rule(text: str) -> AnyRule:
    """Read a rule as ``str`` writes it: ``"HWIO->OIHW"``, ``"as is"``, ``"constant 1.0"``, ...

    Raises:
        RuleError: the text is no rule; the message says what is wrong with it.
    """
    words = text.split()
    if words and words[0] == FOLDED_TEXT:
        return parse_folded(text, _parse_whole)
    if words and ARROW in words[0]:
        axes, channels = split_adapted(text)
        return parse_axes(words) if channels is None else Adapted(_parse_whole(axes), *channels)
    part = _parse_part(words.pop()) if words and words[-1].startswith("@") else WHOLE
    if words == AS_IS_TEXT.split():
        return Rule("", "", part=part) if part.ranges else AS_IS
    if words == [SKIP_TEXT]:
        return Skip(part)
    if words == [KEPT_TEXT] and part == WHOLE:
        return Kept()
    if words and words[0] == CONSTANT_TEXT:
        return _parse_constant(" ".join(words[1:]), part)
    raise RuleError(
        f"{text!r} is no rule; known are 'AXES->AXES' such as 'HWIO->OIHW', "
        f"'{AS_IS_TEXT}', '{CONSTANT_TEXT} NUMBER', '{KEPT_TEXT}', '{SKIP_TEXT}' "
        f"and '{FOLDED_TEXT} PART {{...}}'"
    )


def _parse_constant(text: str, part: Part) -> Constant:
    try:
        value = json.loads(text)
        if isinstance(value, list):
            return Constant(tuple(float(number) for number in value), part)
        return Constant(float(value), part)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RuleError(f"{text.strip()!r} is neither a number nor a list of numbers") from error


def _parse_whole(text: str) -> Rule:
    rule = parse_axes(text.split())
    if rule.ranges or rule.added or rule.part.ranges:
        raise RuleError(f"{text!r}: what is folded or adapted is taken whole")
    return rule


def parse_axes(words: Sequence[str]) -> Rule:
    """Read ``["(HW)O->O(HW)", "H=7"]``. Raises RuleError as ``parse_rule``."""
    if not words or ARROW not in words[0]:
        raise RuleError(f"{' '.join(words)!r} is no 'AXES->AXES' such as 'HWIO->OIHW'")
    source, target = words[0].split(ARROW, 1)
    for pattern in (source, target):
        if not _PATTERN.fullmatch(pattern):
            raise RuleError(f"{pattern!r} does not name axes by capital letters, 1 and brackets")
    if sorted(letters_of(source)) != sorted(letters_of(target)):
        raise RuleError(f"{source!r} and {target!r} do not have the same axes")
    if len(set(letters_of(source))) != len(letters_of(source)):
        raise RuleError(f"{source!r} names an axis twice")
    found = _Words()
    for word in words[1:]:
        found.read(word)
    found.check(letters_of(source))
    return Rule(
        source,
        target,
        tuple(found.sizes.items()),
        tuple(found.ranges.items()),
        tuple(found.orders.items()),
        tuple(found.added.items()),
        found.part,
    )


class _Words:
    """What the words behind the patterns say."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.ranges: dict[str, Range] = {}
        self.orders: dict[str, tuple[int, ...]] = {}
        self.added: dict[str, tuple[float, ...]] = {}
        self.part = WHOLE

    def read(self, word: str) -> None:
        """Take one word up. Raises RuleError where it is none, or says again what is said."""
        if word.startswith("@"):
            _refuse_again(word, known=self.part != WHOLE)
            self.part = _parse_part(word)
        elif match := _SIZE.fullmatch(word):
            _refuse_again(word, known=match[1] in self.sizes)
            self.sizes[match[1]] = int(match[2])
        elif match := _RANGE.fullmatch(word):
            _refuse_again(word, known=match[1] in self.ranges)
            self.ranges[match[1]] = _range(word, match[2], match[3])
        elif match := _ORDER.fullmatch(word):
            _refuse_again(word, known=match[1] in self.orders)
            self.orders[match[1]] = _order(word, match[2])
        elif match := _ADDED.fullmatch(word):
            _refuse_again(word, known=match[1] in self.added)
            self.added[match[1]] = _numbers(word, match[2])
        else:
            raise RuleError(
                f"{word!r} is no size of an axis such as 'H=7', no range 'I=0:7', no order "
                "'G=0,2,1,3', no numbers to add 'G+=0,1,0,0' and no part of the torch tensor "
                "'@16:32'"
            )

    def check(self, letters: Sequence[str]) -> None:
        """Refuse words that speak of no axis, or of one in two ways that do not go together."""
        for letter in (*self.sizes, *self.ranges, *self.orders, *self.added):
            if letter not in letters:
                raise RuleError(f"there is no axis {letter}")
        for letter in self.orders.keys() & self.added.keys():
            if len(self.orders[letter]) != len(self.added[letter]):
                raise RuleError(f"order and numbers to add of {letter} differ in length")


def _refuse_again(word: str, *, known: bool) -> None:
    if known:
        raise RuleError(f"{word!r} says again what is said before")


def _range(word: str, begin: str, end: str) -> Range:
    if int(begin) >= int(end):
        raise RuleError(f"{word!r}: the range is empty")
    return int(begin), int(end)


def _order(word: str, text: str) -> tuple[int, ...]:
    order = tuple(map(int, text.split(",")))
    if sorted(order) != list(range(len(order))):
        raise RuleError(f"{word!r} does not name every index from 0 once")
    return order


def _numbers(word: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        raise RuleError(f"{word!r} holds something else than numbers") from error


def _parse_part(word: str) -> Part:
    """Read ``"@16:32,:"``."""
    match = _PART.fullmatch(word)
    if match is None:
        raise RuleError(f"{word!r} is no part of a tensor such as '@16:32' or '@:,3:6'")
    ranges: list[Range | None] = []
    for text in match[1].split(","):
        begin, _, end = text.partition(":")
        ranges.append(_range(word, begin, end) if begin else None)
    while ranges and ranges[-1] is None:
        ranges.pop()
    return Part(tuple(ranges))
