"""Real conversions: TensorFlow 1.15 and torch, as plain processes and in containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from benchmarks.demo.report_picture import CHROMIUM_NAMES, find_chromium, open_browser
from orchestration.environments import environments_folder, make_environment, recipe_for
from orchestration.errors import LegacyPythonMissing
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage
from orchestration.settings import RuntimeOptions
from tests.end_to_end.archives import Archive, make_archive
from tests.manifest_schema import checked_manifest
from tests.podman_people import Person, make_person

REPOSITORY = Path(__file__).resolve().parents[2]
ZOO = REPOSITORY / "tests" / "unet_zoo.py"
TENSORFLOW = REPOSITORY / "tests" / "run_tensorflow.py"
AGREEMENT = REPOSITORY / "tests" / "end_to_end" / "agreement.py"
PROGRAM = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py")]


@dataclass(frozen=True)
class Workplace:
    """A folder to work in, with an index of exports of its own.

    Attributes:
        folder: the current folder of the program.
        environment: variables of the program.
    """

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run orchestrate.py to its end."""
        return subprocess.run(
            [*PROGRAM, *map(os.fspath, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start orchestrate.py."""
        return subprocess.Popen(
            [*PROGRAM, *map(os.fspath, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manifest(self, out: str) -> dict[str, Any]:
        """The manifest of a result, as its schema has it."""
        return checked_manifest(self.folder / out)

    def names(self) -> list[str]:
        """Names in the folder, hidden ones too."""
        return sorted(os.listdir(self.folder))


def _stage_python(stage: Stage) -> Path:
    """Interpreter of the local runtime's environment, made if need be."""
    try:
        recipe = recipe_for(stage, "cpu")
        return make_environment(recipe, RuntimeOptions(), os.environ, lambda line: None)
    except LegacyPythonMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error.happened} {error.remedy}")


@pytest.fixture(scope="session")
def extract_python() -> Path:
    """CPython 3.7 with TensorFlow 1.15."""
    return _stage_python("extract")


@pytest.fixture(scope="session")
def load_python() -> Path:
    """CPython 3.11 with torch."""
    return _stage_python("load")


@pytest.fixture(
    params=[
        pytest.param("local", id="local"),
        pytest.param("docker", id="docker", marks=pytest.mark.docker),
    ]
)
def runtime(request: pytest.FixtureRequest) -> str:
    """Name of the runtime to run with; the local one's environments are ready."""
    if request.param == "local":
        request.getfixturevalue("extract_python")
        request.getfixturevalue("load_python")
    return str(request.param)


@pytest.fixture(scope="module")
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Root, or an ordinary user ("user"), with a working Podman and the images."""
    yield from make_person(request.param)


@dataclass(frozen=True)
class Truth:
    """TensorFlow's own answers, computed without this project, to compare with.

    Attributes:
        extract_python: CPython 3.7 with TensorFlow 1.15.
        load_python: CPython 3.11 with torch.
        folder: scratch.
    """

    extract_python: Path
    load_python: Path
    folder: Path

    def difference_on_fresh_input(self, result: Path, prefix: Path, tensor: str) -> float:
        """Largest difference, relative to the scale, of a converted model from `tensor`."""
        inputs, answers, truth = (self.folder / f"{name}.npz" for name in ("x", "torch", "tf"))
        self.python("apply", result, tensor, inputs, answers)
        self.run_tensorflow(prefix, inputs, truth, tensor)
        return float(self.python("compare", answers, truth))

    def run_tensorflow(self, prefix: Path, inputs: Path, outputs: Path, *more: str | Path) -> None:
        """Run a checkpoint's graph; `more`: the tensors, and options."""
        command = [self.extract_python, "-W", "ignore", TENSORFLOW, prefix, inputs, outputs]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run([*command, *more], env=environment, check=True, stderr=subprocess.DEVNULL)

    def python(self, *arguments: str | Path) -> str:
        """Run a command of agreement.py; gives what it prints."""
        environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
        command = [self.load_python, AGREEMENT, *arguments]
        return subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout


@pytest.fixture
def truth(extract_python: Path, load_python: Path, tmp_path: Path) -> Truth:
    """TensorFlow's own answers."""
    folder = tmp_path / "truth"
    folder.mkdir()
    return Truth(extract_python, load_python, folder)


def _workplace(root: Path) -> Workplace:
    cache = root / "cache" / PROJECT
    cache.mkdir(parents=True)
    (cache / "environments").symlink_to(environments_folder(os.environ))
    folder = root / "work"
    folder.mkdir()
    return Workplace(folder, {**os.environ, "XDG_CACHE_HOME": os.fspath(root / "cache")})


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A workplace with the environments of this machine, and nothing in its index of exports."""
    return _workplace(tmp_path)


@pytest.fixture(scope="module")
def shared_workplace(
    extract_python: Path, load_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    """A workplace that the tests of one file share; it goes with the last of them."""
    root = tmp_path_factory.mktemp("shared")
    yield _workplace(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def load_many(load_python: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Load one export into many models, one after another, by one process of stage 2."""

    def run(export: Path, models: dict[str, str], scratch: Path) -> dict[str, dict[str, Any]]:
        """Return the last event of each job: "done" or "failed"; what it wrote is removed."""
        command = [os.fspath(load_python), "-m", "stage_load"]
        pipe = subprocess.PIPE
        # Threads that wait for each other cost more than they save in networks this small.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        found: dict[str, dict[str, Any]] = {}
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=pipe, stdout=pipe, text=True
        ) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            for name, model in models.items():
                out = scratch / name
                out.mkdir(parents=True)
                options = {"model": model, "device": "cpu"}
                job = {"job": name, "command": "load", "export": os.fspath(export)}
                line = json.dumps({**job, "out": os.fspath(out), "options": options})
                worker.stdin.write(line + "\n")
                worker.stdin.flush()
                events = (json.loads(text) for text in worker.stdout)
                found[name] = next(e for e in events if e["event"] in ("done", "failed"))
                # A network's weights may take half a gigabyte each time.
                shutil.rmtree(out)
        return found

    return run


@pytest.fixture(scope="session")
def zoo(
    extract_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """Folder of a small UNet that TensorFlow 1.15 built and saved; each is made once."""
    root = tmp_path_factory.mktemp("zoo")

    def folder_of(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            subprocess.run(
                [extract_python, ZOO, name, folder],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
                check=True,
                capture_output=True,
            )
        return folder

    yield folder_of
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def checkpoint(zoo: Callable[[str], Path], workplace: Workplace) -> Path:
    """A copy of a small UNet's checkpoint, to be spoilt at will; its prefix is model.ckpt."""
    folder = workplace.folder / "ckpt"
    shutil.copytree(zoo("upconvcat"), folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    program = find_chromium()
    if program is None:
        reason = f"no Chromium: none of {', '.join(CHROMIUM_NAMES)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser(program) as opened:
        yield opened


@pytest.fixture(scope="module")
def archive(
    shared_workplace: Workplace, zoo: Callable[[str], Path], extract_python: Path
) -> Iterator[Archive]:
    """A signed archive, and who verifies copies of it by stages that stay warm."""
    yield from make_archive(shared_workplace, zoo("upconvcat"), extract_python)


@pytest.fixture
def bag(archive: Archive, tmp_path: Path) -> Path:
    """A copy of the archive, to be spoilt."""
    # Without its modes: what a bag shares with the result is read-only.
    bag = shutil.copytree(archive.bag, tmp_path / "x.bag", copy_function=shutil.copyfile)
    return Path(bag)
