"""The user's own environment for stage 2: what is checked before it is used."""

from __future__ import annotations

import json
import venv

import pytest

from orchestration.errors import EnvironmentBuildFailed
from orchestration.load_python import LOAD_PACKAGES, check_load_python


def test_a_load_python_without_torch_is_told_what_it_lacks(tmp_path):
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    with pytest.raises(EnvironmentBuildFailed) as caught:
        check_load_python(python)
    assert f"lacks {', '.join(LOAD_PACKAGES)}" in caught.value.happened
    assert f"{python} -m pip install torch numpy" in caught.value.remedy


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param("exit 1", "does not run", id="does-not-run"),
        pytest.param(
            'echo \'{"version": [3, 8, 1], "packages": {}}\'', "is Python 3.8.1", id="too-old"
        ),
    ],
)
def test_a_load_python_that_does_not_serve(tmp_path, script, text):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(EnvironmentBuildFailed, match=text):
        check_load_python(python)


def test_the_versions_of_a_good_load_python_are_told(tmp_path):
    python = tmp_path / "python"
    versions = dict.fromkeys(LOAD_PACKAGES, "1") | {"torch": "2.1.0"}
    packages = json.dumps(versions)
    python.write_text(f'#!/bin/sh\necho \'{{"version": [3, 10, 4], "packages": {packages}}}\'\n')
    python.chmod(0o755)
    assert check_load_python(python)["torch"] == "2.1.0"
