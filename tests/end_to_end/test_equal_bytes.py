"""Equal input gives equal bytes: on another day, in another folder, with fewer cores, elsewhere.

Each row changes one thing that must not matter. What the interpreters of both stages are started
with is changed by scripts in their places. Other runtimes and other people have rows in
`test_apptainer.py` and `test_podman_conversions.py` as well.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestration.environments import environments_folder
from orchestration.run_paths import PROJECT
from tests.ordinary_user import REPOSITORY

# Rare enough to hold every kind of tensor: partitioned and computed ones, batch norms, a map.
CHECKPOINT = REPOSITORY / "tests" / "contract" / "checkpoints" / "segmenter"
MAY_DIFFER = "manifest.json"
[FAKE_TIME] = (
    os.fspath(file.locate())
    for file in importlib.metadata.files("libfaketime") or ()
    if file.name == "libfaketime.so.1"
)
ANOTHER_DAY: Mapping[str, str] = {
    "LD_PRELOAD": FAKE_TIME,
    "FAKETIME": "@2036-02-29 23:59:58",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


@dataclass(frozen=True)
class Change:
    """What is not as it was in the first run.

    Attributes:
        stages: variables that both stages start with, beside those that the runtime hands on.
        caller: variables of the caller.
        before: command that starts the program.
        folder: where the program is called, the checkpoint lies and the result goes.
    """

    stages: Mapping[str, str] = field(default_factory=dict)
    caller: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    folder: str = "work"


CHANGES = {
    "nothing": Change(),
    "another-day": Change(stages=ANOTHER_DAY, caller=ANOTHER_DAY),
    "hash-seed": Change(stages={"PYTHONHASHSEED": "1"}, caller={"PYTHONHASHSEED": "1"}),
    "one-core": Change(before=("taskset", "--cpu-list", "0")),
    "one-thread-asked-for": Change(caller={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}),
    "five-threads-asked-for": Change(caller={"OMP_NUM_THREADS": "5", "MKL_NUM_THREADS": "3"}),
    "locale-c": Change(caller={"LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Chatham"}),
    "locale-tr": Change(caller={"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "UTC+11"}),
    "umask": Change(before=("sh", "-c", 'umask 077; exec "$@"', "sh")),
    "folder": Change(folder="a b,c:'d' \"e\" é %s $HOME {x}\\n #1"),
    "folder-of-no-utf-8": Change(folder=os.fsdecode(b"\xff\xfe no text")),
    "long-folder": Change(folder="/".join(["deep" * 20] * 20)),
}


def place_interpreters(cache: Path, variables: Mapping[str, str]) -> None:
    """Put scripts in the places of the environments' interpreters, which set variables first."""
    ours = environments_folder(os.environ)
    told = [shlex.quote(f"{name}={value}") for name, value in variables.items()]
    for stage in ("extract", "load"):
        for real in ours.glob(f"{stage}-*/bin/python"):
            place = cache / PROJECT / "environments" / real.relative_to(ours)
            place.parent.mkdir(parents=True)
            words = " ".join(["exec", "env", *told, shlex.quote(os.fspath(real)), '"$@"'])
            place.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
            place.chmod(0o755)


def convert(root: Path, change: Change) -> Path:
    """Convert a copy of the checkpoint; gives the result folder."""
    place_interpreters(root / "cache", change.stages)
    folder = root / change.folder
    shutil.copytree(CHECKPOINT, folder / "ckpt")
    program = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py")]
    options = ["ckpt", "--model", "unet", "--runtime", "local", "--out", "out"]
    done = subprocess.run(
        [*change.before, *program, *options],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": os.fspath(root / "cache"), **change.caller},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"PROVEN")
    return folder / "out"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MAY_DIFFER
    }


@pytest.fixture(scope="module")
def expected(
    extract_python: Path, load_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The files of a first run."""
    found = files(convert(tmp_path_factory.mktemp("first"), Change()))
    assert {"model.safetensors", "mapping.csv", "report.html", "report.json"} <= set(found)
    assert {"variables", "reference"} <= {Path(name).stem for name in found if "export" in name}
    return found


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_bytes_stay_equal(change: Change, expected: dict[str, bytes], tmp_path: Path) -> None:
    result = convert(tmp_path, change)
    found = files(result)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    if change.stages is ANOTHER_DAY:
        assert '"2036-0' in (result / "manifest.json").read_text(encoding="utf-8")


def test_an_earlier_item_of_a_worker_changes_nothing(
    expected: dict[str, bytes], shared_workplace: Any, zoo: Callable[[str], Path]
) -> None:
    """One process of each stage converts another network before this one."""
    items = ["checkpoint,model", f"{zoo('upconvcat')},unet", f"{CHECKPOINT},unet"]
    shared_workplace.folder.joinpath("items.csv").write_text("\n".join(items), encoding="utf-8")
    options = ("--out", "all", "--jobs", "1", "--runtime", "local")
    done = shared_workplace.run("batch", "items.csv", *options)
    assert done.returncode == 0, done.stderr
    [result] = [
        path.parent
        for path in shared_workplace.folder.joinpath("all").glob("*/manifest.json")
        if json.loads(path.read_bytes())["command"] and "segmenter" in path.parent.name
    ]
    assert files(result) == expected
