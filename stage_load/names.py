"""Compares names of the two worlds: ``enc0/conv1/kernel`` and ``enc.0.conv1.weight``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_TOKEN = re.compile(r"[a-z]+|[0-9]+")
_MOST_CANDIDATES = 16
"""How many names are compared closely with one that has no place; keeps long lists linear."""

# One word for what the two worlds call differently.
_SAME_WORDS: Mapping[str, str] = {
    "kernel": "weight",
    "weights": "weight",
    "gamma": "weight",
    "embeddings": "weight",
    "biases": "bias",
    "beta": "bias",
    "encoder": "enc",
    "decoder": "dec",
    "batchnorm": "bn",
    "batch": "bn",
    "normalization": "bn",
}


@lru_cache(maxsize=65536)
def tokens(name: str) -> frozenset[str]:
    """Split a name into lower-case words and numbers, in the words that both worlds share."""
    return frozenset(words(name))


def words(name: str) -> tuple[str, ...]:
    """Split a name as ``tokens`` does, in its order."""
    return tuple(_SAME_WORDS.get(word, word) for word in _TOKEN.findall(name.lower()))


def similarity(left: str, right: str) -> float:
    """Return how much two names have in common, 0 to 1 (Dice's coefficient of their words)."""
    a, b = tokens(left), tokens(right)
    if not a or not b:
        return 0.0
    return 2 * len(a & b) / (len(a) + len(b))


def normalised(name: str) -> str:
    """Write a name in the form in which equal names of both worlds are equal."""
    return name.replace("/", ".").strip(".")


class NameIndex:
    """Finds the nearest of many names without comparing with each of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_token: dict[str, list[str]] = {}
        for name in names:
            for token in tokens(name):
                self._by_token.setdefault(token, []).append(name)

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return up to ``count`` names, nearest first; none if no word is shared."""
        candidates: dict[str, None] = {}
        for token in sorted(tokens(name), key=lambda word: len(self._by_token.get(word, ()))):
            candidates.update(dict.fromkeys(self._by_token.get(token, ())[:_MOST_CANDIDATES]))
            if len(candidates) >= _MOST_CANDIDATES:
                break
        return nearest(name, list(candidates), count)


def nearest(name: str, names: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """Return up to ``count`` of the names, nearest first, equal ones in alphabetical order."""
    scored = sorted((-similarity(name, other), other) for other in names)
    return tuple(other for score, other in scored[:count] if score < 0)
