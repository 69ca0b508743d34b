"""Whose signatures count: a public key, or OpenSSH's list of allowed signers.

A line of such a list: PRINCIPALS [OPTIONS] KEY-TYPE KEY [COMMENT], see ALLOWED SIGNERS in
`man ssh-keygen`. A .pub file is a line without principals.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from orchestration.archive.signing.ssh_public_keys import (
    HARDWARE_KEY_TYPES,
    KEY_TYPES,
    PublicBlob,
    read_key_file,
)
from orchestration.errors import KeyUnusable, SignatureInvalid

# A word; what is in double quotes may hold blanks.
_WORD: Final = re.compile(r'\s*((?:[^\s"]|"(?:[^"\\]|\\.)*")+)')
# Principals, options, type and key; the rest is for people.
_MOST_WORDS: Final = 4
_OPTION: Final = re.compile(r'(?P<name>[a-z-]+)(?:="(?P<value>(?:[^"\\]|\\.)*)")?(?:,|$)')
_TIME: Final = re.compile(r"(?P<digits>\d{8}(?:\d{4}(?:\d{2})?)?)(?P<utc>Z?)")
_TIME_FORMATS: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True)
class _Entry:
    """One line: a key, and under what conditions its signatures count."""

    key: PublicBlob
    principals: tuple[str, ...] = ()
    options: Mapping[str, str] | None = None


@dataclass(frozen=True)
class AllowedSigners:
    """The keys of a file.

    Attributes:
        path: the file.
    """

    path: Path
    _entries: tuple[_Entry, ...]

    @classmethod
    def read(cls, path: Path) -> AllowedSigners:
        """Read a .pub file or a list of allowed signers.

        Raises:
            KeyUnusable: it cannot be read, a line cannot be understood, or it has no key.
        """
        text = read_key_file(path).decode("utf-8", errors="surrogateescape")
        if text.startswith("-----BEGIN"):
            raise KeyUnusable(
                f"{path} is no public key: it begins as private keys and certificates do.",
                "A public key (.pub) or a list of allowed signers was expected.",
                f"Name the public half; beside a private key of OpenSSH that is {path}.pub.",
            )
        entries = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                entries.append(_entry(line))
            except ValueError as error:
                raise _unusable(path, f"line {number} cannot be understood: {error}") from error
        # The key of an authority signs other keys, never content.
        entries = [entry for entry in entries if "cert-authority" not in (entry.options or {})]
        if not entries:
            raise _unusable(path, "it has no key that signs content")
        return cls(path, tuple(entries))

    def principals_of(self, key: PublicBlob, namespace: str) -> tuple[str, ...]:
        """Names under which the file has a key.

        Raises:
            SignatureInvalid: the file does not have it, or not for this namespace, or not now.
        """
        entries = [entry for entry in self._entries if entry.key.data == key.data]
        reasons = [_why_not(entry.options or {}, namespace) for entry in entries]
        if not entries or all(reasons):
            why = next((reason for reason in reasons if reason), f"which is not in {self.path}")
            raise SignatureInvalid(
                f"The signature is by the key {key.fingerprint}, {why}.",
                f"A key of {self.path} was expected.",
                "If you know that key by its fingerprint and trust it, name its .pub file instead.",
            )
        good = [entry for entry, reason in zip(entries, reasons, strict=True) if not reason]
        return tuple(dict.fromkeys(name for entry in good for name in entry.principals))


def _entry(line: str) -> _Entry:
    """Parse a line. Raises ValueError."""
    words = _words(line)
    if words[0] in (*KEY_TYPES, *HARDWARE_KEY_TYPES):
        return _Entry(_key(words))
    principals = tuple(name for name in words[0].strip('"').split(",") if name)
    if len(words) > 1 and words[1] in (*KEY_TYPES, *HARDWARE_KEY_TYPES):
        return _Entry(_key(words[1:]), principals)
    if len(words) < _MOST_WORDS:
        raise ValueError("principals, type and key were expected")
    return _Entry(_key(words[2:]), principals, _options(words[1]))


def _words(line: str) -> list[str]:
    """The words of a line that tell something, at least one. Raises ValueError."""
    words: list[str] = []
    at = 0
    while len(words) < _MOST_WORDS and (found := _WORD.match(line, at)) is not None:
        words.append(found[1])
        at = found.end()
    if not words:
        raise ValueError("a quotation mark is not closed")
    return words


def _key(words: list[str]) -> PublicBlob:
    if len(words) < 2:
        raise ValueError("the key is missing")
    try:
        key = PublicBlob.parse(base64.b64decode(words[1], validate=True))
    except binascii.Error as error:
        raise ValueError(f"the key is not base64: {error}") from error
    if key.key_type != words[0]:
        raise ValueError(f"a key of type {words[0]} was announced, {key.key_type} is there")
    return key


def _options(text: str) -> dict[str, str]:
    """Options of a line; one that is not known could restrict the key, so it is refused."""
    options = {}
    at = 0
    while at < len(text):
        found = _OPTION.match(text, at)
        if found is None or found["name"] not in _KNOWN_OPTIONS:
            raise ValueError(f"unknown option {text[at:]!r}")
        options[found["name"]] = found["value"] or ""
        if found["name"].startswith("valid-"):
            _time(options[found["name"]])
        at = found.end()
    return options


_KNOWN_OPTIONS: Final = ("cert-authority", "namespaces", "valid-after", "valid-before")


def _why_not(options: Mapping[str, str], namespace: str) -> str:
    """Why a key's signatures do not count; empty if they do."""
    patterns = options.get("namespaces")
    if patterns is not None and not _in_list(namespace, patterns.split(",")):
        return f"which that file allows for {patterns} only, not for {namespace}"
    now = datetime.now(timezone.utc)
    if "valid-after" in options and now < _time(options["valid-after"]):
        return f"which that file allows after {options['valid-after']} only"
    if "valid-before" in options and now >= _time(options["valid-before"]):
        return f"which that file allowed before {options['valid-before']} only"
    return ""


def _in_list(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is in a pattern list (see PATTERNS in `man ssh_config`): one that begins with
    "!" keeps out what it matches, whatever else does.
    """
    wildcards = {"*": ".*", "?": "."}
    matching = [
        pattern
        for pattern in patterns
        if re.fullmatch(
            "".join(wildcards.get(char, re.escape(char)) for char in pattern.removeprefix("!")),
            name,
        )
    ]
    return bool(matching) and not any(pattern.startswith("!") for pattern in matching)


def _time(text: str) -> datetime:
    """A time as OpenSSH writes it, of this machine's zone unless a Z follows. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time of the form YYYYMMDD[HHMM[SS]][Z]")
    time = datetime.strptime(found["digits"], _TIME_FORMATS[len(found["digits"])])
    if found["utc"]:
        return time.replace(tzinfo=timezone.utc)
    try:
        return time.astimezone()
    except OverflowError as error:
        raise ValueError(f"{text!r} is no time that this machine knows") from error


def _unusable(path: Path, why: str) -> KeyUnusable:
    return KeyUnusable(
        f"{path} cannot tell whose signature counts: {why}.",
        "A public key (.pub) or a list of allowed signers was expected.",
        "See ALLOWED SIGNERS in `man ssh-keygen`.",
    )
