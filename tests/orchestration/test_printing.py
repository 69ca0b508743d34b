"""Names from a checkpoint cannot command the terminal that shows them."""

from __future__ import annotations

import pytest

from orchestration.printing import in_one_line, markdown_code, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Größe-模型\ttwo\nlines", "Größe-模型\ttwo\nlines", id="harmless"),
        pytest.param("a\x1b[2Jb", r"a\x1b[2Jb", id="escape-sequence"),
        pytest.param("a\rb", r"a\rb", id="carriage-return"),
        pytest.param("a\x9b31mb", r"a\x9b31mb", id="eight-bit-control"),
        pytest.param("a\u202eb", r"a\u202eb", id="turned-direction"),
        pytest.param("a\udcffb", r"a\udcffb", id="bytes-that-are-no-utf-8"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert printable(text) == shown


def test_a_name_with_line_breaks_cannot_look_like_two_lines():
    assert in_one_line("a\n  signature  ok\tb\x1bc") == r"a\n  signature  ok\tb\x1bc"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("a_b*c", "`a_b*c`", id="plain"),
        pytest.param("a` **Proven** `b", "`a' **Proven** 'b`", id="ends-the-code"),
        pytest.param("a\n\n# Proven", "`a # Proven`", id="new-paragraph"),
        pytest.param("a|b", r"`a\|b`", id="column-of-a-table"),
    ],
)
def test_a_name_set_as_code_stays_code(name, shown):
    assert markdown_code(name) == shown
