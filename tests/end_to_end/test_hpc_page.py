"""Every command of docs/hpc.md, in its order, by an ordinary user on a real Slurm."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestration.image_sources import ImageSources
from orchestration.runtimes.base import Stage
from orchestration.sif.store import file_name
from tests.ordinary_user import NoOrdinaryUser, OrdinaryUser, make_ordinary_user
from tests.slurm_cluster import require_slurm

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "hpc.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)
# Where .ci/run puts files of the images.
SIF_FOLDER = Path(os.environ.get("SIF_FOLDER", "/srv/tf1-to-torch"))
STAGES: tuple[Stage, ...] = ("extract", "load")
ARRAYS = {"sh pbs": "PBS_ARRAY_INDEX", "sh lsf": "LSB_JOBINDEX", "sh sge": "SGE_TASK_ID"}
# Runs a block where the one before it has ended, with the variables that it has left.
SESSION = """
set -euo pipefail
cd "$(cat "$STATE/folder")"
. "$STATE/variables"
{block}
export -p >"$STATE/variables"
pwd >"$STATE/folder"
"""


def absent(reason: str) -> None:
    """Skip; in continuous integration everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Session:
    """A terminal on the login node.

    Attributes:
        user: who sits there.
        shared: the folder that all nodes see.
        answers: what each block has printed, stdout and stderr, in their order.
    """

    user: OrdinaryUser
    shared: Path
    answers: list[str] = field(default_factory=list)

    def run(self, block: str) -> None:
        """Run a block to its end, which must be a good one."""
        state = self.shared / ".session"
        answer = subprocess.run(
            self.user.command("bash", "-c", SESSION.format(block=block)),
            cwd="/",
            env={**environment_of(self.user), "STATE": os.fspath(state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, f"{block}\n{answer.stdout}"
        self.answers.append(answer.stdout)


def environment_of(user: OrdinaryUser) -> dict[str, str]:
    """A login's variables, without the packages that the user is lent elsewhere."""
    variables = {**user.environment(), "PIP_NO_INDEX": "1"}
    del variables["PYTHONPATH"]
    variables["PIP_FIND_LINKS"] = os.fspath(user.folder / "wheels")
    return variables


@pytest.fixture(scope="module")
def session(zoo_checkpoint: Path, repository: Callable[[Path], Path]) -> Iterator[Session]:
    require_slurm()
    if shutil.which("apptainer") is None:
        absent("there is no apptainer on this machine: run .ci/apptainer")
    folder = Path(tempfile.mkdtemp(prefix="tf1-to-torch-hpc-"))
    try:
        user = make_ordinary_user(folder)
    except NoOrdinaryUser as error:
        shutil.rmtree(folder)
        absent(str(error))
    shared = folder / "shared"
    for name in ("first", "second", "third"):
        shutil.copytree(zoo_checkpoint, shared / "runs" / name / "ckpt")
    fetch_packages(folder / "wheels")
    (shared / ".session").mkdir()
    (shared / ".session" / "folder").write_text("/\n")
    # Git reads no repository of somebody else's.
    origin = user.own(repository(folder / "repository"))
    variables = f'export SHARED="{shared}" REPOSITORY="{origin}"\n'
    (shared / ".session" / "variables").write_text(variables)
    user.own(shared)
    yield Session(user, shared)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def zoo_checkpoint(zoo: Callable[[str], Path]) -> Path:
    return zoo("upconvcat")


@pytest.fixture(scope="module")
def repository() -> Callable[[Path], Path]:
    """Makes a repository of the files as they are, whatever has been committed of them."""

    def make(target: Path) -> Path:
        list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(list_files, cwd=REPOSITORY, capture_output=True, check=True).stdout
        for name in listed.decode().split("\0"):
            if name and (REPOSITORY / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, target / name)
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@localhost"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
            subprocess.run([*git, *command], cwd=target, check=True)
        return target

    return make


def fetch_packages(folder: Path) -> None:
    """What requirements.txt names, as files: the user has no settings of pip's."""
    pip = ["python3", "-m", "pip", "--python", sys.executable, "download", "--quiet", "--no-deps"]
    lock = REPOSITORY / "requirements.txt"
    command = [*pip, "--require-hashes", "--dest", folder, "--requirement", lock]
    subprocess.run(command, check=True)
    builders = [name for path in folder.glob("*.tar.gz") for name in build_requirements(path)]
    if builders:
        # With what these need in turn.
        with_needs = [part for part in pip if part != "--no-deps"]
        subprocess.run([*with_needs, "--dest", folder, *builders], check=True)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


def build_requirements(path: Path) -> list[str]:
    """What pip needs from an index before it builds a package that exists as sources only.

    Args:
        path: the archive of the sources.
    """
    with tarfile.open(path) as archive:
        [name] = [n for n in archive.getnames() if re.fullmatch(r"[^/]+/pyproject\.toml", n)]
        file = archive.extractfile(name)
        assert file is not None
        text = file.read().decode()
    # TOML writes a list of texts as Python does, and Python 3.10 comes without a reader of TOML.
    found = re.search(r"^requires *= *(\[.*?\])", text, re.MULTILINE | re.DOTALL)
    assert found is not None, path
    return list(ast.literal_eval(found[1]))


def make_images(session: Session) -> None:
    """The block for a machine with Docker, run by root; one image comes as an archive instead."""
    [block] = [body for language, body in BLOCKS if language == "sh elsewhere"]
    images = session.shared / "tf1-to-torch" / "images"
    images.mkdir()
    references = {stage: ImageSources.read(stage, "cpu").reference for stage in STAGES}
    for reference in references.values():
        if (SIF_FOLDER / file_name(reference)).is_file():
            shutil.copy(SIF_FOLDER / file_name(reference), images)
    programs = session.user.folder / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", block]
    subprocess.run(command, cwd=images.parent, env=environment, check=True)
    (images / file_name(references["extract"])).unlink()
    archive = images.parent / "extract.tar"
    subprocess.run(["docker", "save", "--output", archive, references["extract"]], check=True)
    archive.chmod(0o644)
    # Of that image the file is there.
    os.link(archive, images.parent / "load.tar")
    session.user.own(images)


def run_array(session: Session, script: str, variable: str) -> None:
    """What a scheduler does with an array of two: its variable counts the tasks."""
    path = session.shared / f"{variable}.sh"
    path.write_text(script)
    for number in ("1", "2"):
        session.run(f"{variable}={number} bash {path}")


def results(batch: Path) -> set[str]:
    """Items that are done, each in one attempt and by the ordinary user."""
    records = list((batch / "batch" / "ledger").iterdir())
    assert all(path.name.endswith(".1.json") for path in records)
    found = {path.parent.name: path.stat().st_uid for path in batch.glob("*/manifest.json")}
    assert set(found.values()) == {(batch / "summary.html").stat().st_uid}
    return set(found)


def check_answers(said: list[str]) -> None:
    """What the blocks have printed, in their order."""
    assert any("apptainer image extract: /" in text for text in said)
    assert sum("PROVEN" in text and "UNPROVEN" not in text for text in said) >= 2
    [script] = [text for text in said if "#SBATCH --array=1-2" in text]
    assert "#SBATCH --requeue" in script
    submitted, status, followed, failed, retried = said[said.index(script) + 1 :][:5]
    assert "Submitted job" in submitted
    assert "3 items in" in status
    assert "3 done, 0 failed, 0 left" in followed
    assert "No job of" in followed
    assert "No item has failed." in failed
    assert "nothing is left to do" in retried


@pytest.mark.slow
@pytest.mark.docker
def test_the_page(session: Session) -> None:
    converted, by_slurm_folder = session.shared / "converted", session.shared / "by-slurm"
    for language, body in BLOCKS:
        if language == "sh elsewhere":
            make_images(session)
        elif language in ARRAYS:
            if language == "sh pbs":
                # One scheduler's array does all once more; the others find it done.
                converted.rename(by_slurm_folder)
            run_array(session, body, ARRAYS[language])
        elif language in ("sh", "sh archive"):
            session.run(body)
        else:
            pytest.fail(f"a block of {language!r} is run by nobody")
    check_answers(session.answers)
    by_slurm = results(by_slurm_folder)
    assert len(by_slurm) == 3
    assert results(converted) == by_slurm
    for name in by_slurm:
        one, other = (
            folder / name / "model.safetensors" for folder in (converted, by_slurm_folder)
        )
        assert one.read_bytes() == other.read_bytes()
