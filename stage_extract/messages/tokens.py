"""The words of protobuf's text format (https://protobuf.dev/reference/protobuf/textformat-spec)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Match

_SPACE = re.compile(r"(?:[ \t\r\n\f\v]|#[^\n]*)*")
_TOKEN = re.compile(
    r"""[A-Za-z_][0-9A-Za-z_]*"""
    r"""|[-+]?\.?[0-9][0-9A-Za-z_.+-]*"""
    r"""|-[ \t]*[A-Za-z]+"""
    r'''|"(?:[^"\n\\]|\\[^\n])*"'''
    r"""|'(?:[^'\n\\]|\\[^\n])*'"""
    r"""|[{}<>\[\]:;,]"""
)
_ESCAPE = re.compile(
    rb"\\(?:[xX]([0-9A-Fa-f]{1,2})|([0-7]{1,3})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_SIMPLE_ESCAPES = MappingProxyType(
    {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
     b"\\": b"\\", b"'": b"'", b'"': b'"', b"?": b"?"}
)  # fmt: skip
_SHOWN_CHARACTERS = 40


class TextError(ValueError):
    """The text is no message of the expected type; the text of the error says where."""


class Tokens:
    """The words of a text, one after the other; the last one is "".

    Attributes:
        current: the word that comes next.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = self._end = 0
        self.current = ""
        self.advance()

    def advance(self) -> str:
        """Give the current word and go on to the next."""
        passed = self.current
        space = _SPACE.match(self._text, self._end)
        self._start = space.end() if space is not None else self._end
        token = _TOKEN.match(self._text, self._start)
        if token is None and self._start < len(self._text):
            raise self.error("no word of the text format")
        self.current = "" if token is None else token.group()
        self._end = self._start + len(self.current)
        return passed

    def take(self, *words: str) -> str:
        """Pass the current word if it is one of these, and give it; else give ""."""
        return self.advance() if self.current and self.current in words else ""

    def expect(self, *words: str) -> str:
        """Pass one of these words and give it.

        Raises:
            TextError: the current word is another.
        """
        taken = self.take(*words)
        if not taken:
            raise self.error(f"expected {' or '.join(words)}")
        return taken

    def error(self, what: str) -> TextError:
        """Make the error for the current word."""
        line = self._text.count("\n", 0, self._start) + 1
        found = self._text[self._start : self._start + _SHOWN_CHARACTERS]
        return TextError(f"line {line}, at {found!r}: {what}")


def unquoted(token: str) -> bytes:
    """Give the bytes of a quoted text.

    Raises:
        ValueError: it holds an escape that is none.
    """
    # Half of a surrogate pair can only come from a text that was no UTF-8.
    content = token[1:-1].encode("utf-8", "surrogatepass")
    return _ESCAPE.sub(_unescaped, content)


def _unescaped(match: Match[bytes]) -> bytes:
    hexadecimal, octal, short, long, simple = match.groups()
    if hexadecimal is not None:
        return bytes((int(hexadecimal, 16),))
    if octal is not None:
        return bytes((int(octal, 8) & 0xFF,))
    if simple is None:
        return chr(int(short or long, 16)).encode("utf-8")
    if simple not in _SIMPLE_ESCAPES:
        raise ValueError(f"\\{simple.decode('latin-1')} is no escape")
    return _SIMPLE_ESCAPES[simple]
