"""Names from a checkpoint cannot command the terminal that shows them."""

from __future__ import annotations

import pytest

from orchestration.printing import printable


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
