"""Reads rules as they are written in ``mapping.csv``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from stage_load.layouts.folded import FOLDED_TEXT, Folded, parse_folded
from stage_load.layouts.rule import (
    ARROW,
    AS_IS,
    AS_IS_TEXT,
    CONSTANT_TEXT,
    KEPT_TEXT,
    SKIP_TEXT,
    Constant,
    Kept,
    Rule,
    RuleError,
    Skip,
    Undecided,
    letters_of,
)

_PATTERN = re.compile(r"(?:[A-Z]|1|\((?:[A-Z])+\))+")
_SIZE = re.compile(r"([A-Z])=([1-9][0-9]*)")

AnyRule = Rule | Constant | Folded | Kept | Skip | Undecided


@lru_cache(maxsize=1024)
def parse_rule(text: str) -> AnyRule:
    """Read a rule as ``str`` writes it: ``"HWIO->OIHW"``, ``"as is"``, ``"constant 1.0"``, ...

    Raises:
        RuleError: the text is no rule; the message says what is wrong with it.
    """
    words = text.split()
    if words == AS_IS_TEXT.split():
        return AS_IS
    if words == [SKIP_TEXT]:
        return Skip()
    if words == [KEPT_TEXT]:
        return Kept()
    if words and words[0] == CONSTANT_TEXT:
        return _parse_constant(text.strip()[len(CONSTANT_TEXT) :])
    if words and words[0] == FOLDED_TEXT:
        return parse_folded(text, lambda axes: parse_axes(axes.split()))
    if words and ARROW in words[0]:
        return parse_axes(words)
    raise RuleError(
        f"{text!r} is no rule; known are 'AXES->AXES' such as 'HWIO->OIHW', "
        f"'{AS_IS_TEXT}', '{CONSTANT_TEXT} NUMBER', '{KEPT_TEXT}', '{SKIP_TEXT}' "
        f"and '{FOLDED_TEXT} PART {{...}}'"
    )


def _parse_constant(text: str) -> Constant:
    try:
        value = json.loads(text)
        if isinstance(value, list):
            return Constant(tuple(float(number) for number in value))
        return Constant(float(value))
    except (ValueError, TypeError) as error:
        raise RuleError(f"{text.strip()!r} is neither a number nor a list of numbers") from error


def parse_axes(words: Sequence[str]) -> Rule:
    """Read ``["(HW)O->O(HW)", "H=7"]``. Raises RuleError as ``parse_rule``."""
    if not words or ARROW not in words[0]:
        raise RuleError(f"{' '.join(words)!r} is no 'AXES->AXES' such as 'HWIO->OIHW'")
    source, target = words[0].split(ARROW, 1)
    for pattern in (source, target):
        if not _PATTERN.fullmatch(pattern):
            raise RuleError(f"{pattern!r} does not name axes by capital letters, 1 and brackets")
    sizes = []
    for word in words[1:]:
        match = _SIZE.fullmatch(word)
        if match is None:
            raise RuleError(f"{word!r} is no size of an axis such as 'H=7'")
        sizes.append((match[1], int(match[2])))
    if sorted(letters_of(source)) != sorted(letters_of(target)):
        raise RuleError(f"{source!r} and {target!r} do not have the same axes")
    if len(set(letters_of(source))) != len(letters_of(source)):
        raise RuleError(f"{source!r} names an axis twice")
    return Rule(source, target, tuple(sizes))
