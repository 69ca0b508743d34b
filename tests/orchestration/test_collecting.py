"""A wheelhouse is filled by pip from the locks, goes on where it ended, names what is missing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestration.collecting import (
    SUMS_FILE,
    Wanted,
    collect,
    needs_collecting,
    wanted_packages,
)
from orchestration.errors import DiskFull, OutputNotWritable, WheelhouseIncomplete
from orchestration.image_sources import ImageSources
from orchestration.run_paths import repository_folder
from tests.orchestration.conftest import ORCHESTRATE

INDEX = "published"
# More than are fetched at once.
NAMES = [f"package-{letter}" for letter in "abcdefghijklmnopq"]


def publish(folder: Path, name: str, version: str = "1.0") -> str:
    """Put a wheel where pip looks; returns its entry in a lock."""
    folder.mkdir(exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{stem}.dist-info/METADATA", about)
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n    # via nothing\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """pip finds what is published here, and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    links = os.fspath(tmp_path / INDEX)
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": links}
    return {**kept, **settings}


def locked(tmp_path: Path, entries: list[str]) -> Wanted:
    lock = tmp_path / "lock.txt"
    lock.write_text("".join(entries), encoding="utf-8")
    return Wanted("a test", lock)


def gather(
    wanted: Wanted, environment: Mapping[str, str], torch_index: str = ""
) -> tuple[Path, list[str]]:
    folder, said = wanted.lock.parent / "wheelhouse", []
    collect(folder, [wanted], torch_index, said.append, environment)
    return folder, said


def wheels(folder: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in folder.glob("*.whl"))


def test_all_of_a_lock(tmp_path: Path, environment: dict[str, str]) -> None:
    wanted = locked(tmp_path, [publish(tmp_path / INDEX, name) for name in NAMES])
    publish(tmp_path / INDEX, "unwanted")
    folder, said = gather(wanted, environment)
    assert wheels(folder) == [name.replace("-", "_") for name in NAMES]
    assert said == [
        "Packages of a test: 16 of 17",
        "Packages of a test: 17 of 17",
        f"17 packages are in {folder}, with their hashes in {SUMS_FILE}",
    ]
    check = ["sha256sum", "--check", "--strict", SUMS_FILE]
    answer = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.count(": OK\n") == len(NAMES)
    assert not needs_collecting(folder)
    # Once more: nothing is fetched, not even looked for.
    sums = (folder / SUMS_FILE).read_bytes()
    _, said = gather(wanted, {**environment, "PIP_FIND_LINKS": ""})
    assert said[0] == "Packages of a test: all 17 were there"
    assert (folder / SUMS_FILE).read_bytes() == sums


def test_it_goes_on_where_it_ended(tmp_path: Path, environment: dict[str, str]) -> None:
    published = tmp_path / INDEX
    entries = [publish(published, name) for name in NAMES]
    late = published / "package_q-1.0-py3-none-any.whl"
    late.rename(tmp_path / late.name)
    wanted = locked(tmp_path, entries)
    with pytest.raises(WheelhouseIncomplete, match=r"^package-q==1\.0 for a test cannot be had"):
        gather(wanted, environment)
    folder = tmp_path / "wheelhouse"
    assert wheels(folder) == [f"package_{letter}" for letter in "abcdefghijklmnop"]
    assert needs_collecting(folder)
    assert not (folder / SUMS_FILE).exists()
    first = published / "package_a-1.0-py3-none-any.whl"
    stamp = (folder / first.name).stat().st_mtime_ns
    (tmp_path / late.name).rename(late)
    gather(wanted, environment)
    assert len(wheels(folder)) == len(NAMES)
    assert (folder / first.name).stat().st_mtime_ns == stamp
    assert not needs_collecting(folder)


def test_a_file_of_another_hash_is_not_taken(tmp_path: Path, environment: dict[str, str]) -> None:
    entries = [publish(tmp_path / INDEX, name) for name in NAMES[:2]]
    path = tmp_path / INDEX / "package_b-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(WheelhouseIncomplete, match=r"^package-b==1\.0 for a test cannot be had"):
        gather(locked(tmp_path, entries), environment)
    assert wheels(tmp_path / "wheelhouse") == ["package_a"]


@pytest.mark.parametrize(
    ("entry", "index", "is_found"),
    [
        pytest.param(("torch", "3.0+cpu"), True, True, id="torch-from-its-own-index"),
        pytest.param(("torch", "3.0+cpu"), False, False, id="nowhere-else"),
        # A name on that index is nobody's promise: other packages never come from it.
        pytest.param(("numpy", "3.0"), True, False, id="not-another-package"),
    ],
)
def test_torch_s_own_index(
    tmp_path: Path,
    environment: dict[str, str],
    entry: tuple[str, str],
    index: bool,
    is_found: bool,
) -> None:
    simple = tmp_path / "simple"
    simple.mkdir()
    wanted = locked(tmp_path, [publish(simple / entry[0], *entry)])
    (wheel,) = (simple / entry[0]).iterdir()
    page = f'<a href="{wheel.name}">{wheel.name}</a>'
    (wheel.parent / "index.html").write_text(page, encoding="utf-8")
    del environment["PIP_NO_INDEX"]
    online = {**environment, "PIP_INDEX_URL": (tmp_path / "empty").as_uri()}
    url = simple.as_uri() if index else ""
    if is_found:
        assert wheels(gather(wanted, online, url)[0]) == [entry[0]]
        return
    with pytest.raises(WheelhouseIncomplete, match=f"^{entry[0]}=="):
        gather(wanted, online, url)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(None, True, id="missing"),
        pytest.param((), True, id="empty"),
        pytest.param(("a-1.0-py3-none-any.whl",), False, id="filled-by-somebody"),
        pytest.param(("a-1.0-py3-none-any.whl", ".unfinished"), True, id="cut-short"),
    ],
)
def test_when_it_is_filled(tmp_path: Path, names: tuple[str, ...] | None, expected: bool) -> None:
    folder = tmp_path / "wheelhouse"
    if names is not None:
        folder.mkdir()
    for name in names or ():
        (folder / name).touch()
    assert needs_collecting(folder) is expected


def test_a_place_that_cannot_be_written(environment: dict[str, str], tmp_path: Path) -> None:
    wanted = locked(tmp_path, [publish(tmp_path / INDEX, "package-a")])
    with pytest.raises((OutputNotWritable, DiskFull), match="/proc"):
        collect(Path("/proc/wheelhouse"), [wanted], "", print, environment)


def test_everything_that_is_installed_is_wanted() -> None:
    locks = {wanted.lock for wanted in wanted_packages("cpu")}
    for stage in ("extract", "load"):
        sources = ImageSources.read(stage, "cpu")
        assert repository_folder() / sources.lock in locks
    assert repository_folder() / "requirements.txt" in locks
    assert len(locks) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["--collect-only"], 2, "add --wheelhouse FOLDER", id="no-folder"),
        # Without --collect-only, too: nothing is asked of an engine before.
        pytest.param(
            ["--wheelhouse", "new"], 84, "WheelhouseIncomplete (exit code 84)", id="missing-folder"
        ),
    ],
)
def test_command(
    tmp_path: Path, environment: dict[str, str], arguments: list[str], code: int, words: str
) -> None:
    answer = subprocess.run(
        [*ORCHESTRATE, "build", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, words in answer.stderr) == (code, True), answer.stderr
    if code == 84:
        assert "absl-py==" in answer.stderr
        assert f"Collecting the packages of both images and of the host side into {tmp_path}" in (
            answer.stderr
        )
