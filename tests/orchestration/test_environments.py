"""Environments of the local runtime, really made by uv, from wheels made here: no network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.environments import (
    Recipe,
    environments_folder,
    existing_python,
    make_environment,
    source_arguments,
)
from orchestration.errors import EnvironmentBuildFailed, LegacyPythonMissing
from orchestration.interpreters import find_legacy_python
from orchestration.pip_settings import PipSettings
from orchestration.settings import CPU_TORCH_INDEX, RuntimeOptions


def make_wheel(folder: Path, name: str, source: str = "") -> str:
    """Write a wheel with one module; returns its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    information = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", source)
        wheel.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{information}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """The recipe of a load environment with one package, whose wheel lies in tmp_path/wheels."""
    sha256 = make_wheel(tmp_path / "wheels", "tinypackage")
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"tinypackage==1.0 --hash=sha256:{sha256}\n")
    return Recipe("load", lock, None)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    cache = {"XDG_CACHE_HOME": os.fspath(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    return {**os.environ, **cache}


@pytest.fixture
def options(tmp_path: Path) -> RuntimeOptions:
    return RuntimeOptions(wheelhouse=tmp_path / "wheels")


def test_an_environment_is_made_once_and_found_again(recipe, options, environment):
    said: list[str] = []
    assert existing_python(recipe, options, environment) is None
    python = make_environment(recipe, options, environment, said.append)
    assert existing_python(recipe, options, environment) == python
    # It still works after the folder was renamed into place.
    command = [python, "-c", "import sys, tinypackage; print(*sys.version_info[:2])"]
    assert subprocess.check_output(command, text=True) == "3 11\n"
    assert any("Making the load environment" in line for line in said)
    said.clear()
    assert make_environment(recipe, options, environment, said.append) == python
    assert said == []


def test_another_lock_makes_another_environment(recipe, options, environment):
    first = make_environment(recipe, options, environment, lambda line: None)
    with recipe.lock.open("a") as stream:
        stream.write("# changed\n")
    assert existing_python(recipe, options, environment) is None
    assert make_environment(recipe, options, environment, lambda line: None) != first


def test_two_runs_at_once_make_one_environment(recipe, options, environment):
    said: list[str] = []
    pythons: list[Path] = []

    def make() -> None:
        pythons.append(make_environment(recipe, options, environment, said.append))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pythons[0] == pythons[1]
    assert len([line for line in said if line.startswith("Making")]) == 1
    assert any(line.startswith("Waiting for another run") for line in said)


def test_an_environment_whose_python_is_gone_is_made_anew(recipe, options, environment):
    python = make_environment(recipe, options, environment, lambda line: None)
    python.unlink()
    python.symlink_to("/gone/python3.11")
    assert existing_python(recipe, options, environment) is None
    make_environment(recipe, options, environment, lambda line: None)
    assert subprocess.check_output([python, "-c", "print(1)"]) == b"1\n"


def damage_hash(recipe, tmp_path):
    recipe.lock.write_text(f"tinypackage==1.0 --hash=sha256:{'0' * 64}\n")


def drop_hash(recipe, tmp_path):
    recipe.lock.write_text("tinypackage==1.0\n")


def remove_wheel(recipe, tmp_path):
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(damage_hash, "Hash mismatch", id="another-hash"),
        pytest.param(drop_hash, "hash", id="no-hash"),
        pytest.param(remove_wheel, "tinypackage", id="package-missing"),
    ],
)
def test_a_failure_shows_what_uv_said_and_leaves_nothing(
    recipe, options, environment, tmp_path, change, text
):
    change(recipe, tmp_path)
    with pytest.raises(EnvironmentBuildFailed) as caught:
        make_environment(recipe, options, environment, lambda line: None)
    assert text in caught.value.happened
    assert "--wheelhouse" in caught.value.remedy
    left = [path.name for path in environments_folder(environment).iterdir()]
    assert left == [f"{recipe.folder_name()}.lock"]


def test_an_interrupted_build_leaves_nothing(recipe, options, environment):
    def interrupt(line: str) -> None:
        if line.startswith("  Resolved"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_environment(recipe, options, environment, interrupt)
    left = [path.name for path in environments_folder(environment).iterdir()]
    assert left == [f"{recipe.folder_name()}.lock"]


def test_leftovers_of_a_killed_build_are_removed(recipe, options, environment):
    leftover = environments_folder(environment) / f"{recipe.folder_name()}.partial-x"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("x")
    make_environment(recipe, options, environment, lambda line: None)
    assert not leftover.exists()


def test_the_extract_environment_needs_a_legacy_python(recipe, environment, tmp_path):
    options = RuntimeOptions(legacy_python=Path(sys.executable), wheelhouse=tmp_path / "wheels")
    with pytest.raises(LegacyPythonMissing, match=r"is Python 3\.1"):
        make_environment(
            Recipe("extract", recipe.lock, None), options, environment, lambda line: None
        )


def test_a_named_python_is_used_although_an_environment_exists(
    recipe, options, environment, tmp_path
):
    legacy = Recipe("extract", recipe.lock, None)
    found = find_legacy_python(None, environment, Path.home()).path
    first = make_environment(legacy, options, environment, lambda line: None)
    named = replace(options, legacy_python=found)
    assert existing_python(legacy, named, environment) == first, "it was made from that one"
    (first.parents[1] / "pyvenv.cfg").write_text(f"home = {tmp_path}/another/bin\n")
    assert existing_python(legacy, named, environment) is None
    second = make_environment(legacy, named, environment, lambda line: None)
    assert second != first
    assert existing_python(legacy, named, environment) == second
    assert existing_python(legacy, options, environment) == first
    assert subprocess.check_output(
        [second, "-c", "import tinypackage, sys; print(sys.version[:3])"]
    )


def test_a_named_python_that_does_not_serve_is_refused_although_an_environment_exists(
    recipe, options, environment
):
    legacy = Recipe("extract", recipe.lock, None)
    make_environment(legacy, options, environment, lambda line: None)
    named = replace(options, legacy_python=Path(sys.executable))
    with pytest.raises(LegacyPythonMissing, match=r"is Python 3\.1"):
        existing_python(legacy, named, environment)


def test_a_cache_folder_that_cannot_be_made(recipe, options, environment, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentBuildFailed, match="XDG_CACHE_HOME"):
        make_environment(recipe, options, environment, lambda line: None)


MIRROR = PipSettings(index_url="https://mirror")
MIRROR_ARGUMENTS = ["--default-index", "https://mirror", "--index-strategy", "unsafe-best-match"]
PLAIN_ARGUMENTS = ["--index-strategy", "unsafe-best-match"]
EXTRA = ["--index", CPU_TORCH_INDEX]


@pytest.mark.parametrize(
    ("extra_index", "wheelhouse", "pip", "expected"),
    [
        pytest.param(None, None, PipSettings(), [PLAIN_ARGUMENTS], id="public-index"),
        pytest.param(
            CPU_TORCH_INDEX, None, PipSettings(), [[*PLAIN_ARGUMENTS, *EXTRA]], id="cpu-torch"
        ),
        # A machine with its own sources may be cut off from the public ones.
        pytest.param(
            CPU_TORCH_INDEX,
            None,
            MIRROR,
            [MIRROR_ARGUMENTS, [*MIRROR_ARGUMENTS, *EXTRA]],
            id="cpu-torch-own-sources-first",
        ),
        pytest.param(
            CPU_TORCH_INDEX,
            None,
            PipSettings(no_index=True, find_links=("/w",)),
            [["--find-links", "/w", "--no-index", *PLAIN_ARGUMENTS]],
            id="no-index",
        ),
        pytest.param(
            CPU_TORCH_INDEX,
            Path("/wheels"),
            MIRROR,
            [["--no-index", "--offline", "--find-links", "/wheels"]],
            id="wheelhouse",
        ),
    ],
)
def test_where_packages_come_from(recipe, extra_index, wheelhouse, pip, expected):
    found = source_arguments(Recipe("load", recipe.lock, extra_index), wheelhouse, pip)
    assert found == expected


def test_the_index_of_cpu_torch_is_asked_when_the_machines_own_lacks_it(tmp_path, environment):
    own, extra = tmp_path / "own", tmp_path / "extra" / "torch"
    own.mkdir()
    extra.mkdir(parents=True)
    sha256 = make_wheel(extra, "torch")
    wheel = "torch-1.0-py3-none-any.whl"
    (extra / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"torch==1.0 --hash=sha256:{sha256}\n")
    recipe = Recipe("load", lock, extra.parent.as_uri())
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": own.as_uri(), "PIP_FIND_LINKS": ""}
    python = make_environment(recipe, RuntimeOptions(), {**environment, **pip}, lambda line: None)
    assert subprocess.check_output([python, "-c", "import torch; print(torch)"])


def test_packages_of_the_users_own_come_on_top_and_change_nothing(recipe, options, environment):
    """Once for each requirements file; the locked packages keep their versions."""
    folder = recipe.lock.parent
    make_wheel(folder / "wheels", "ownpackage")
    requirements = folder / "own.txt"
    requirements.write_text("ownpackage\ntinypackage\n")
    own = replace(recipe, requirements=requirements, wheelhouse=options.wheelhouse)
    assert own.folder_name().startswith(f"{recipe.folder_name()}-")
    python = make_environment(own, options, environment, lambda _: None)
    subprocess.run([python, "-c", "import ownpackage, tinypackage"], check=True)
    assert existing_python(own, options, environment) == python
    assert existing_python(recipe, options, environment) is None
    requirements.write_text("tinypackage==2.0\n")
    assert existing_python(own, options, environment) is None
    with pytest.raises(EnvironmentBuildFailed, match="uv could not make") as caught:
        make_environment(own, options, environment, lambda _: None)
    assert "requirements.txt and own.txt" in caught.value.expected
    assert [path.name for path in environments_folder(environment).iterdir() if path.is_dir()] == [
        python.parents[1].name
    ]


def test_packages_of_the_users_own_need_only_the_machines_index(recipe, tmp_path, environment):
    """The index of CPU torch may be out of reach, and is not asked where torch is found without."""
    wheels = recipe.lock.parent / "wheels"
    make_wheel(wheels, "ownpackage")
    for name in ("tinypackage", "ownpackage"):
        page = tmp_path / "index" / name / "index.html"
        page.parent.mkdir(parents=True)
        wheel = (wheels / f"{name}-1.0-py3-none-any.whl").as_uri()
        page.write_text(f'<a href="{wheel}">{name}-1.0-py3-none-any.whl</a>')
    requirements = tmp_path / "own.txt"
    requirements.write_text("ownpackage\n")
    own = replace(recipe, requirements=requirements, extra_index="http://127.0.0.1:1/none")
    index = (tmp_path / "index").as_uri()
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_FIND_LINKS": ""}
    python = make_environment(own, RuntimeOptions(), {**environment, **pip}, lambda _: None)
    subprocess.run([python, "-c", "import ownpackage, tinypackage"], check=True)
