"""200 small checkpoints of six kinds, ten of them bad in different ways, as batches."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.errors import EngineNotInstalled
from orchestration.image_sources import ImageSources
from orchestration.sif.program import find_program
from orchestration.sif.store import SifStore
from tests.fleet import outcome
from tests.fleet.cluster import Cluster, Hit, make_a_storm
from tests.ordinary_user import NoOrdinaryUser, OrdinaryUser, make_ordinary_user
from tests.peak_memory import peak_memory_bytes
from tests.slurm_cluster import require_slurm, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
EXIT_SOME_FAILED = 3
ITEMS, BAD_ITEMS = 200, 10
SHARDS = 6
# Each on three nodes with two processors and 4,000 MB.
TASK = "--time=0:20:00 --cpus-per-task=1 --mem=1900"
# At their end before the storm begins.
SOME_ITEMS = 12
# Several workers share two cores, and the slowest good item takes a few seconds alone.
ITEM_TIMEOUT_S = 40
# Either framework takes more, once it is imported; the host's side takes less than half.
WORKER_BYTES = 150 << 20

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Fleet:
    """The checkpoints.

    Attributes:
        folder: that any user can read.
        failures: item -> class that it must fail with.
    """

    folder: Path
    failures: Mapping[str, str]

    @property
    def items(self) -> Path:
        """The items file."""
        return self.folder / "items.csv"


@pytest.fixture(scope="module")
def fleet(extract_python: Path) -> Iterator[Fleet]:
    """All checkpoints, made by one process of TensorFlow."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    folder.chmod(0o755)
    command = [extract_python, "-W", "ignore", "-m", "tests.fleet.build", folder / "fleet"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    failures = json.loads((folder / "fleet" / "expected.json").read_bytes())
    yield Fleet(folder / "fleet", failures)
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Batch:
    """A batch that has run.

    Attributes:
        out: its folder.
        command: that ran it.
        done: how that ended.
    """

    out: Path
    command: tuple[str | Path, ...]
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def local_batch(fleet: Fleet, shared_workplace, load_python: Path) -> Batch:
    """The fleet, converted on this machine by two lanes."""
    out = shared_workplace.folder / "converted"
    options = ["--jobs", "2", "--runtime", "local", "--item-timeout", str(ITEM_TIMEOUT_S)]
    command = ("batch", fleet.items, "--out", out, *options)
    return Batch(out, command, shared_workplace.run(*command))


def check_ends(out: Path, fleet: Fleet) -> None:
    """190 proven, and ten failed for the right reason."""
    ends = outcome.ends(out)
    failed = {name: end for name, end in ends.items() if end != "proven"}
    assert failed == fleet.failures, outcome.reasons(out, failed.keys() - fleet.failures.keys())
    assert (len(ends), len(failed)) == (ITEMS, BAD_ITEMS)
    # A failed proof leaves its result, for people to look into.
    proven = ends.keys() - failed.keys()
    assert outcome.results(out).keys() == {*proven, "other-function"}


def test_all_are_proven_but_those_that_cannot_be(fleet, local_batch):
    assert local_batch.done.returncode == EXIT_SOME_FAILED, local_batch.done.stderr
    check_ends(local_batch.out, fleet)
    assert {len(records) for records in outcome.attempts(local_batch.out).values()} == {1}
    assert not list(local_batch.out.glob(".work/*"))


def test_names_do_not_depend_on_other_rows(fleet, local_batch, shared_workplace):
    with fleet.items.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["name"]][::3]
    few = fleet.folder / "few.csv"
    with few.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shown = shared_workplace.run("batch", few, "--out", local_batch.out, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    names = {line.split("\t")[0] for line in shown.stdout.splitlines()}
    assert len(names) == len(rows) > 1
    assert names <= outcome.results(local_batch.out).keys()


def test_a_run_without_work_starts_no_worker(local_batch, shared_workplace):
    before = outcome.file_times(local_batch.out)
    command = [sys.executable, REPOSITORY / "orchestrate.py", *local_batch.command, "--quiet"]
    environment = shared_workplace.environment
    peak_bytes = peak_memory_bytes(
        command, shared_workplace.folder, environment=environment, exit_code=EXIT_SOME_FAILED
    )
    assert outcome.file_times(local_batch.out) == before
    assert peak_bytes < WORKER_BYTES


@dataclass(frozen=True)
class Storm:
    """A batch on a cluster on which everything went wrong, and the same command again.

    Attributes:
        out: the batch's folder.
        hit: whom the storm has hit.
        before: records of each item when no job was left.
        times: of all files then.
        again: how the second command ended.
    """

    out: Path
    hit: Hit
    before: Mapping[str, list[outcome.Record]]
    times: Mapping[str, tuple[int, int]]
    again: subprocess.CompletedProcess[str]


def absent(reason: str) -> None:
    """Skip; continuous integration has everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def user() -> Iterator[OrdinaryUser]:
    """Whoever has an account on the cluster, and no more."""
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    try:
        yield make_ordinary_user(folder)
    except NoOrdinaryUser as reason:
        absent(str(reason))
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def apptainer(user: OrdinaryUser) -> list[str | Path]:
    """Options for Apptainer's images, copied to where the user can read them."""
    options: list[str | Path] = ["--runtime", "apptainer"]
    try:
        store = SifStore(find_program(os.environ), os.environ)
    except EngineNotInstalled as error:
        absent(error.happened)
    for stage in ("extract", "load"):
        path = store.path(ImageSources.read(stage, "cpu").reference)
        if not path.is_file():
            absent(f"{path} is missing: run orchestrate.py build --runtime apptainer")
        copy = user.folder / path.name
        shutil.copyfile(path, copy)
        copy.chmod(0o644)
        options += [f"--image-{stage}", copy]
    return options


@pytest.fixture(scope="module")
def storm(fleet: Fleet, user: OrdinaryUser, apptainer: list[str | Path]) -> Storm:
    """The fleet on Slurm, in six shards through Apptainer, as an ordinary user."""
    out = user.folder / "converted"
    cluster = Cluster(f"fleet-{os.getpid()}")
    sbatch = ("--sbatch", f"--job-name={cluster.job_name} {TASK}")
    slurm = ("--slurm", "--shards", str(SHARDS), *sbatch)
    options = ("--jobs", "1", "--item-timeout", str(ITEM_TIMEOUT_S), *slurm)
    command = ("batch", fleet.items, "--out", out, *apptainer, *options)
    try:
        submitted = user.orchestrate(*command)
        assert submitted.returncode == 0, submitted.stderr
        wait_until(lambda: ended(out) >= SOME_ITEMS or cluster.is_empty(), "some items", 300)
        assert not cluster.is_empty(), logs(out)
        (script,) = (out / "batch" / "slurm").glob("*.sbatch")
        hit = make_a_storm(cluster, script, user.command("env", "-C", user.folder))
        wait_until(cluster.is_empty, "the end of all jobs", 900)
        before, times = outcome.attempts(out), outcome.file_times(out)
        return Storm(out, hit, before, times, user.orchestrate(*command, "--wait"))
    finally:
        cluster.cancel()


def logs(out: Path) -> str:
    """What the tasks have said."""
    return "\n".join(path.read_text() for path in (out / "batch" / "slurm").glob("*.log"))


def ended(out: Path) -> int:
    """Number of items that are at their end."""
    records = outcome.attempts(out).values()
    return sum(one["state"] in ("done", "failed") for one in (last[-1] for last in records))


def test_a_storm_loses_and_doubles_nothing(fleet, storm):
    assert storm.again.returncode == EXIT_SOME_FAILED, storm.again.stderr
    check_ends(storm.out, fleet)
    for name, records in outcome.attempts(storm.out).items():
        assert [one["attempt"] for one in records] == list(range(1, len(records) + 1)), name
        at_end = [one["state"] in ("done", "failed") for one in records]
        # Whoever had it before was killed, or gave it back.
        assert at_end == [False] * (len(records) - 1) + [True], name
    assert not list(storm.out.glob(".work/*"))


def test_what_was_done_is_not_done_again(storm):
    now = outcome.file_times(storm.out)
    done = [name for name, records in storm.before.items() if records[-1]["state"] == "done"]
    assert done
    for name in done:
        kept = {path: time for path, time in storm.times.items() if path.startswith(f"{name}/")}
        assert kept
        assert kept.items() <= now.items()
        assert len(outcome.attempts(storm.out)[name]) == len(storm.before[name])


def shard_of(record: outcome.Record) -> int:
    return int(record["owner"]["slurm"]["array_task"])


def test_there_was_a_storm(storm):
    records = [one for several in outcome.attempts(storm.out).values() for one in several]
    tasks = [one["owner"]["slurm"] for one in records]
    assert {shard_of(one) for one in records} == set(range(1, SHARDS + 1))
    # In the middle of an item, so that nobody wrote how the attempt ended.
    assert storm.hit.crashed <= {shard_of(one) for one in records if one["state"] == "running"}
    restarted = {int(task["array_task"]) for task in tasks if task["restart"] > 0}
    assert storm.hit.crashed <= restarted
    assert storm.hit.crowded & restarted


def test_every_runtime_and_user_gives_the_same_bytes(local_batch, storm):
    assert outcome.contents(storm.out) == outcome.contents(local_batch.out)
