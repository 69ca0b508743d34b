"""What an archive promises: on a machine that has nothing but the bag, everything is made again.

The commands are those of the bag's README.md.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.collecting import collect, wanted_packages
from orchestration.environments import environments_folder
from orchestration.run_paths import cache_folder
from orchestration.settings import CPU_TORCH_INDEX
from tests.bare_machine import BareMachine, bare_machine, require_bare_machine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
# Of .ci/run; what it lacks is fetched.
WHEELHOUSE = REPOSITORY / "build" / "wheelhouse"
CORPUS_ITEM = "Edwardlzy__SRCNN/SRCNN"
CORPUS_MODEL = """
import torch


class SuperResolution(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.find = torch.nn.Conv2d(1, 64, 9)
        self.map = torch.nn.Conv2d(64, 32, 1)
        self.draw = torch.nn.Conv2d(32, 1, 5)

    def forward(self, images):
        found = torch.relu(self.find(images))
        return self.draw(torch.relu(self.map(found)))
"""
# Weights that have moved; the network need not be good at anything.
TRAINING_STEPS = 5
ITEMS = pytest.mark.parametrize("item", ["demo", "corpus"])
BAG_DAMAGED = 76
LINKS = ["fixity", "signature", "records", "export", "mapping", "proof", "rerun"]
COMMAND = re.compile(r"^    (\S.*)$", re.MULTILINE)
VERDICT = re.compile(r"^  (\w+) +(ok|FAILED|not checked) +(.*)$", re.MULTILINE)


@dataclass
class Archives:
    """Where bags are made and read.

    Attributes:
        folder: holds the bags.
        machine: which knows of nothing else; it has `folder` as /archives.
    """

    folder: Path
    machine: BareMachine

    def bag(self, item: str) -> Path:
        return self.folder / f"{item}.bag"

    def commands(self, item: str) -> list[str]:
        """What the bag's README.md says to type in its folder, to see whether it is right."""
        text = (self.bag(item) / "README.md").read_text(encoding="utf-8")
        _, _, section = text.partition("\n## Is it right?\n")
        return COMMAND.findall(section.partition("\n## ")[0])

    def type(self, item: str, *commands: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run("\n".join([f"cd /archives/{item}.bag", *commands]))

    def images(self) -> set[str]:
        """Ids of the images that the machine's engine has."""
        return set(self.machine.run("docker images --quiet --no-trunc").stdout.split())

    def manifest(self, item: str):
        return json.loads((self.bag(item) / "data/result/manifest.json").read_bytes())


@pytest.fixture(scope="module")
def checkpoints(corpus_item, extract_python, tmp_path_factory):
    """`checkpoints(item)`: a checkpoint's folder, and how it is converted."""

    def make(item: str) -> tuple[Path, list[str]]:
        if item == "corpus":
            code = tmp_path_factory.mktemp("code") / "srcnn.py"
            code.write_text(CORPUS_MODEL, encoding="ascii")
            return corpus_item(CORPUS_ITEM), ["--model", f"{code}:SuperResolution"]
        folder = tmp_path_factory.mktemp("trained")
        train = [extract_python, "-W", "ignore", "-m", "benchmarks.demo.train", folder]
        subprocess.run(
            [*train, "--steps", str(TRAINING_STEPS)],
            cwd=REPOSITORY,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            # It would want to segment well.
            check=False,
        )
        return folder / "checkpoint", ["--model", "unet"]

    return make


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Iterator[Path]:
    """A folder whose gigabytes go with the last test."""
    folder = tmp_path_factory.mktemp("alone")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def packages(root) -> Path:
    """Every package of both images and of the host side."""
    folder = root / "packages"
    if WHEELHOUSE.is_dir():
        shutil.copytree(WHEELHOUSE, folder)
    collect(folder, wanted_packages("cpu"), CPU_TORCH_INDEX, lambda line: None)
    return folder


@pytest.fixture(scope="module")
def archives(root, packages, shared_workplace, checkpoints, pytestconfig) -> Iterator[Archives]:
    require_bare_machine()
    folder, key = root / "archives", root / "key"
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    has_corpus = (pytestconfig.getoption("--corpus") / CORPUS_ITEM).is_dir()
    for item in ("demo", "corpus") if has_corpus else ("demo",):
        checkpoint, options = checkpoints(item)
        for command in (
            (checkpoint, *options, "--runtime", "docker", "--out", item),
            (
                *("archive", item, "--bag", folder / f"{item}.bag", "--sign", key),
                *("--with-images", "--with-wheelhouse", packages),
            ),
        ):
            done = shared_workplace.run(*command)
            assert done.returncode == 0, done.stderr
    if has_corpus:
        share_images(folder / "demo.bag", folder / "corpus.bag")
    with bare_machine(root / "machine", {folder: "/archives"}) as machine:
        yield Archives(folder, machine)


def share_images(bag: Path, other: Path) -> None:
    """Both bags hold the same images, in the same bytes: the disk need not hold them twice."""
    for image in (bag / "data" / "images").iterdir():
        same = other / "data" / "images" / image.name
        assert filecmp.cmp(image, same, shallow=False)
        same.unlink()
        same.hardlink_to(image)


def test_nothing_of_this_machine_is_there(archives):
    here = [REPOSITORY, cache_folder(os.environ), environments_folder(os.environ), WHEELHOUSE]
    here += [Path(sys.prefix), Path("/var/lib/containers"), archives.folder]
    for path in here:
        assert archives.machine.run(f"test -e '{path}'").returncode == 1, path
    assert archives.images() == set()
    networks = archives.machine.run("tail -n +3 /proc/net/dev").stdout
    assert [line.split(":")[0].strip() for line in networks.splitlines()] == ["lo"]


@ITEMS
def test_everything_is_made_again(archives, corpus_item, item):
    if item == "corpus":
        corpus_item(CORPUS_ITEM)
    manifest = archives.manifest(item)
    done = archives.type(item, *archives.commands(item))
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = VERDICT.findall(done.stdout)
    assert [(link, state) for link, state, _ in verdicts] == [(link, "ok") for link in LINKS]
    files = len(manifest["files"])
    assert f"{files} files equal byte for byte" in verdicts[-1][2]
    ids = {manifest[stage]["image"]["id"] for stage in ("extract", "load")}
    assert archives.images() == ids


@contextmanager
def flipped(file: Path) -> Iterator[None]:
    """One bit of a file in its middle is another for a while."""
    middle = file.stat().st_size // 2

    def flip() -> None:
        with file.open("r+b") as stream:
            stream.seek(middle)
            (byte,) = stream.read(1)
            stream.seek(middle)
            stream.write(bytes([byte ^ 1]))

    flip()
    yield
    flip()


def test_a_flipped_bit_is_named(archives):
    original = next((archives.bag("demo") / "data" / "original").glob("*.data-*"))
    image = archives.bag("demo") / "data" / "images" / "load.oci.tar"
    with flipped(original), flipped(image):
        done = archives.type("demo", archives.commands("demo")[-1])
    assert done.returncode == BAG_DAMAGED
    for path in (original, image):
        name = path.relative_to(archives.bag("demo"))
        assert f"    {name}: changed: " in done.stdout
