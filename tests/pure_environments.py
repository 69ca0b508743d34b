"""Environments without TensorFlow for the tests of `stage_extract --reader pure`.

One for each Python; a Python that is not here is fetched if uv can.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestration.interpreters import find_python
from orchestration.runtimes.base import Notify
from tests.locked_environments import make_locked_environment

# TensorFlow's own, the load stage's, and the newest that is known to be at hand.
VERSIONS = ((3, 7), (3, 11), (3, 13))
LOCK = Path(__file__).parent / "requirements-pure.txt"


def make_pure_environment(
    version: tuple[int, int], environment: Mapping[str, str], notify: Notify
) -> Path:
    """Make the environment of one Python, or find it; gives its interpreter.

    Raises:
        PythonMissing: there is no such Python.
        CalledProcessError: the packages cannot be installed.
    """
    name = f"{version[0]}.{version[1]}"
    found = find_python(version, environment, Path.home())
    python = name if found is None else os.fspath(found.path)
    return make_locked_environment(f"pure-{name}", LOCK, python, environment, notify)
