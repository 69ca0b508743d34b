"""A process reads the way it was started for, and refuses jobs for another way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONTRACT = REPOSITORY / "tests" / "contract"
CHECKPOINTS = CONTRACT / "checkpoints"
KINDS = ("bare", "reader", "segmenter")


@pytest.fixture(scope="module")
def worker():
    """`worker(reader, jobs)`: the events of a process of its own that was started so."""

    def run(reader, jobs):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "stage_extract", "--reader", reader],
            input="".join(json.dumps(job) + "\n" for job in jobs).encode(),
            stdout=subprocess.PIPE,
            cwd=str(REPOSITORY),
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_a_process_that_compares_writes_the_golden_exports(worker, tmp_path):
    """There the first reading has nothing of TensorFlow's: neither checksums nor messages."""
    jobs = []
    for name in KINDS:
        (tmp_path / name).mkdir()
        job = {"job": name, "command": "extract", "checkpoint": str(CHECKPOINTS / name)}
        jobs.append({**job, "out": str(tmp_path / name), "options": {"reader": "both"}})
    ready, *events = worker("both", jobs)
    assert "tensorflow" in ready["versions"]
    done = {event["job"]: event["result"] for event in events if event["event"] == "done"}
    assert sorted(done) == sorted(KINDS)
    for name in KINDS:
        assert done[name]["readers"]["compared"] == done[name]["variables"]
        for path in (CONTRACT / "golden" / name).iterdir():
            assert (tmp_path / name / path.name).read_bytes() == path.read_bytes()


def test_a_process_that_compares_reads_by_itself():
    program = (
        "import os; os.environ['STAGE_EXTRACT_READER'] = 'both'\n"
        "from stage_extract.storage import bundle_index, checksums, crc32c, snappy\n"
        "from stage_extract.messages import pure\n"
        "assert checksums.extend_crc32c is crc32c.extend\n"
        "assert checksums.uncompress_snappy is snappy.uncompress\n"
        "assert bundle_index.BundleEntryProto is pure.BundleEntryProto\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=str(REPOSITORY), check=True)


@pytest.mark.parametrize(
    ("started", "asked"),
    [
        pytest.param("pure", "tf", id="tensorflow-where-there-is-none"),
        pytest.param("pure", "both", id="both-where-there-is-one"),
        pytest.param("tf", "pure", id="pure-where-tensorflow-is"),
    ],
)
def test_a_process_refuses_jobs_for_another_reader(worker, started, asked):
    checkpoint = str(CHECKPOINTS / "bare")
    job = {"job": "1", "command": "inspect", "checkpoint": checkpoint, "options": {"reader": asked}}
    error = worker(started, [job])[-1]["error"]
    assert (error["class"], error["exit_code"]) == ("JobInvalid", 44)
    assert f"'{asked}'" in error["happened"]
