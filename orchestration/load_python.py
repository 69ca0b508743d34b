"""Checking an environment of the user's own that is to run stage 2."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from orchestration.errors import EnvironmentBuildFailed

LOAD_PACKAGES = ("torch", "numpy", "safetensors", "fastjsonschema", "jinja2", "matplotlib")

# find_spec and metadata instead of imports: torch alone takes seconds to import.
_PACKAGE_PROBE = """
import importlib.metadata, importlib.util, json, sys
found = {}
for name in sys.argv[1:]:
    if importlib.util.find_spec(name) is not None:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
print(json.dumps({"version": list(sys.version_info[:3]), "packages": found}))
"""


def check_load_python(path: Path) -> dict[str, str]:
    """Check an environment of the user's that is to run stage 2.

    Args:
        path: its interpreter.

    Returns:
        Package name -> version of what stage 2 imports.

    Raises:
        EnvironmentBuildFailed: it does not run, is too old, or lacks a package.
    """
    command = [os.fspath(path), "-c", _PACKAGE_PROBE, *LOAD_PACKAGES]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentBuildFailed(
            f"The Python named with --load-python does not run: {path}: {error}.",
            "A Python 3.10 or newer of an environment that has torch was expected.",
            "Name the environment's interpreter, such as ENVIRONMENT/bin/python.",
        ) from error
    facts = json.loads(answer.stdout)
    packages: dict[str, str] = facts["packages"]
    if tuple(facts["version"][:2]) < (3, 10):
        raise EnvironmentBuildFailed(
            f"{path} is Python {'.'.join(str(part) for part in facts['version'])}.",
            "Stage 2 needs Python 3.10 or newer.",
            "Name another with --load-python, or leave the option out.",
        )
    missing = [name for name in LOAD_PACKAGES if name not in packages]
    if missing:
        raise EnvironmentBuildFailed(
            f"The environment of {path} lacks {', '.join(missing)}.",
            f"Stage 2 imports {', '.join(LOAD_PACKAGES)}.",
            f"Install what is missing: {path} -m pip install {' '.join(missing)}",
        )
    return packages
