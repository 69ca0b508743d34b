"""What the stages wrote for people while they worked on one item, and tracebacks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TextIO

from orchestration.printing import printable
from orchestration.runtimes.base import Stage

# A stage that says the same for ever must not fill the disk.
_MOST_CHARACTERS = 4_000_000


class ItemLog:
    """The log of one attempt at one item; the file appears with its first line.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: TextIO | None = None
        self._left = _MOST_CHARACTERS
        self._lock = threading.Lock()
        self._error: OSError | None = None

    @property
    def exists(self) -> bool:
        """Whether anything was written."""
        return self._stream is not None

    def text(self, stage: Stage, line: str) -> None:
        """Write a line of a stage; may come from any thread, also after the end."""
        # A stage that says the same for ever waits for its reader.
        if self._left > 0:
            self.write(f"{stage}| {printable(line)}")

    def write(self, text: str) -> None:
        """Write a text. What goes wrong is told by `close`: a stage's reader must go on."""
        with self._lock:
            if self._error is not None or self._left <= 0 or self._is_closed:
                return
            try:
                if self._stream is None:
                    # Whatever has the name already may lead to a file that is not this one's.
                    self.path.unlink(missing_ok=True)
                    self._stream = self.path.open("x", encoding="utf-8", errors="replace")
                self._stream.write(text[: self._left] + "\n")
                self._stream.flush()
                self._left -= len(text) + 1
            except OSError as error:
                self._error = error

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: something could not be written.
        """
        with self._lock:
            if self._stream is not None:
                self._stream.close()
            if self._error is not None:
                raise self._error

    @property
    def _is_closed(self) -> bool:
        return self._stream is not None and self._stream.closed
