"""A legacy Python is believed in only after it has answered."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestration.errors import EnvironmentBuildFailed, LegacyPythonMissing
from orchestration.interpreters import find_legacy_python, find_uv, probe


def answering(path: Path, version="3, 7, 17", implementation="CPython", machine="x86_64") -> Path:
    """A program that answers the question as the Python of a given version would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        f'echo \'{{"version": [{version}], "implementation": "{implementation}",'
        f' "machine": "{machine}", "executable": "{path}"}}\'\n'
    )
    path.chmod(0o755)
    return path


def failing(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit 127\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("place", "variables", "found_in"),
    [
        pytest.param("bin/python3.7", {"PATH": "{home}/bin"}, "PATH", id="path"),
        pytest.param(".pyenv/versions/3.7.9/bin/python3.7", {}, "pyenv", id="pyenv"),
        pytest.param(
            "py/versions/3.7.9/bin/python3.7", {"PYENV_ROOT": "{home}/py"}, "pyenv", id="pyenv-root"
        ),
        pytest.param(
            ".local/share/uv/python/cpython-3.7.9-linux-x86_64-gnu/bin/python3.7", {}, "uv", id="uv"
        ),
        pytest.param(
            "uvs/cpython-3.7.9-linux/bin/python3.7",
            {"UV_PYTHON_INSTALL_DIR": "{home}/uvs"},
            "uv",
            id="uv-folder-elsewhere",
        ),
        pytest.param(
            "conda/bin/python3.7", {"CONDA_PREFIX": "{home}/conda"}, "conda", id="active-conda"
        ),
    ],
)
def test_each_place_is_searched(tmp_path, place, variables, found_in):
    path = answering(tmp_path / place)
    environment = {key: value.format(home=tmp_path) for key, value in variables.items()}
    found = find_legacy_python(None, environment, tmp_path)
    assert (found.path, found.version, found.found_in) == (path, (3, 7, 17), found_in)


def test_a_listed_conda_environment_is_found(tmp_path):
    path = answering(tmp_path / "envs" / "old" / "bin" / "python3.7")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"/gone\n{tmp_path}/envs/old\n")
    assert find_legacy_python(None, {}, tmp_path).path == path


def test_a_shim_that_does_not_run_is_passed_over(tmp_path):
    # pyenv puts a shim of every name on PATH; it fails unless that version is selected.
    failing(tmp_path / "shims" / "python3.7", "pyenv: python3.7: command not found")
    real = answering(tmp_path / ".pyenv" / "versions" / "3.7.16" / "bin" / "python3.7")
    answering(tmp_path / ".pyenv" / "versions" / "3.7.9" / "bin" / "python3.7")
    found = find_legacy_python(None, {"PATH": f"{tmp_path}/shims"}, tmp_path)
    assert found.path == real


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(lambda path: answering(path, "3, 8, 18"), "is Python 3.8.18", id="version"),
        pytest.param(lambda path: answering(path, machine="aarch64"), "aarch64", id="machine"),
        pytest.param(lambda path: answering(path, implementation="PyPy"), "is PyPy", id="pypy"),
        pytest.param(
            lambda path: failing(path, "ModuleNotFoundError: No module named _ssl"),
            "No module named _ssl",
            id="without-ssl",
        ),
        pytest.param(lambda path: path.write_text("text"), "Permission denied", id="not-a-program"),
    ],
)
def test_what_does_not_serve_is_named_with_its_reason(tmp_path, make, text):
    path = tmp_path / "python"
    make(path)
    with pytest.raises(LegacyPythonMissing) as caught:
        find_legacy_python(path, {}, tmp_path)
    assert str(path) in caught.value.happened
    assert text in caught.value.happened


def test_without_any_the_error_says_how_to_get_one(tmp_path):
    with pytest.raises(LegacyPythonMissing) as caught:
        find_legacy_python(None, {"PATH": os.fspath(tmp_path)}, tmp_path)
    for word in ("pyenv install 3.7", "conda create", "--legacy-python", "--runtime docker"):
        assert word in caught.value.remedy


def test_an_explicit_python_is_the_only_candidate(tmp_path):
    answering(tmp_path / ".pyenv" / "versions" / "3.7.16" / "bin" / "python3.7")
    with pytest.raises(LegacyPythonMissing):
        find_legacy_python(tmp_path / "missing", {}, tmp_path)


def test_this_python_answers_for_itself():
    found = probe(Path(sys.executable), "here")
    assert found.version == sys.version_info[:3]
    assert found.path == Path(os.path.realpath(sys.executable))


def test_uv_is_taken_from_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", os.fspath(tmp_path / "nowhere" / "python"))
    uv = failing(tmp_path / "bin" / "uv", "")
    assert find_uv({"PATH": os.fspath(uv.parent)}) == uv
    with pytest.raises(EnvironmentBuildFailed, match="pip install uv"):
        find_uv({"PATH": os.fspath(tmp_path)})
