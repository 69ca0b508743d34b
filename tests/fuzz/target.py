"""What is fuzzed, as the worker sees it: makes one damaged input, and runs it. CPython 3.7 too."""

from __future__ import annotations

import os
import random
from typing import Any, Dict, List, Mapping

from tests.fuzz.mutation import Files

try:
    from typing import Protocol
except ImportError:  # CPython 3.7
    Protocol = object  # type: ignore[assignment]

INPUT, OUT = "input", "out"
"""Folders of one run: what was damaged, and where its result goes."""

DONE = "done"


class Finding(Exception):
    """The property does not hold; the text says how."""


class Target(Protocol):
    """One way into the program."""

    def prepare(self, chance: random.Random, folder: str) -> None:
        """Write a damaged input into the empty `folder`/input."""

    def run(self, folder: str) -> str:
        """Give "done", or the class of the error that refuses the input.

        Raises:
            Finding: it ended in any other way, or left something behind.
        """


def read_files(folder: str) -> Files:
    """Every file below a folder."""
    found: Dict[str, bytes] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def write_files(folder: str, files: Mapping[str, bytes]) -> None:
    """The opposite of `read_files`."""
    for name, data in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def outcome_of(events: List[Mapping[str, Any]]) -> str:
    """The outcome of a job, from its events.

    Raises:
        Finding: it ended in an error that no one foresaw, or it did not end.
    """
    last = events[-1] if events else {"event": "nothing"}
    if last["event"] == "done":
        return DONE
    if last["event"] != "failed":
        raise Finding(f"the job ended with the event {last['event']!r}")
    error = last["error"]
    if error["class"] == "InternalError":
        raise Finding(f"{error['happened']}\n{error['traceback']}")
    return str(error["class"])
