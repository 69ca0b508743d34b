"""One process does many jobs: none of them can tell whether it is the first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import tensorflow

compat = tensorflow.compat.v1

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "tests" / "contract"
GOLDEN = CONTRACT / "golden"
ROUNDS = 10
# The most that the resident memory may grow by.
GROWTH = 1.05


class Process:
    """A worker that is given one job after the other, on some of the machine's processors."""

    def __init__(self, cores):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stage_extract"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=str(ROOT),
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        assert self._event()["event"] == "ready"

    def _event(self):
        return json.loads(self.process.stdout.readline())

    def do(self, checkpoint, out, options):
        """Do a job; its last event, and the bytes of its files."""
        out.mkdir()
        job = {"job": out.name, "command": "extract", "checkpoint": str(checkpoint)}
        line = json.dumps({**job, "out": str(out), "options": options})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        event = self._event()
        while event["event"] not in ("done", "failed"):
            event = self._event()
        return event, {path.name: path.read_bytes() for path in out.iterdir()}

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0
        self.process.stdout.close()


def kinds_of_jobs(folder):
    """Checkpoints and options of six kinds, of which one fails in the middle."""
    names = sorted(path.name for path in (CONTRACT / "checkpoints").iterdir())
    kinds = {name: (CONTRACT / "checkpoints" / name, {}) for name in names}
    kinds["unproven"] = (CONTRACT / "checkpoints" / "segmenter", {"reference": False})
    kinds["seeded"] = (CONTRACT / "checkpoints" / "reader", {"seed": 5, "keep_optimizer": True})
    cut = folder / "cut"
    shutil.copytree(str(CONTRACT / "checkpoints" / "segmenter"), str(cut))
    (data,) = cut.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:-40])
    kinds["cut"] = (cut, {})
    return kinds


def golden_files(name):
    return {path.name: path.read_bytes() for path in (GOLDEN / name).iterdir()}


def test_the_order_of_many_jobs_changes_no_byte_and_holds_no_memory(tmp_path):
    kinds = kinds_of_jobs(tmp_path)
    cores = os.sched_getaffinity(0)
    expected = {name: golden_files(name) for name in kinds if (GOLDEN / name).is_dir()}
    assert len(expected) == 3
    resident, open_files = [], set()
    process = Process(cores)
    for round_number in range(ROUNDS):
        # Each kind comes at each place.
        names = [*kinds][round_number % len(kinds) :] + [*kinds][: round_number % len(kinds)]
        for name in names:
            checkpoint, options = kinds[name]
            event, files = process.do(checkpoint, tmp_path / f"{name}-{round_number}", options)
            assert event["event"] == ("failed" if name == "cut" else "done"), event
            assert expected.setdefault(name, files) == files, name
            resident.append(event["resident_memory_bytes"])
        open_files.add(process.open_files())
    process.close()
    assert expected["cut"] == {}
    assert max(resident[-6:]) < GROWTH * max(resident[12:18])
    assert len(open_files) == 1

    alone = Process({min(cores)})
    for name in reversed([*kinds]):
        checkpoint, options = kinds[name]
        _, files = alone.do(checkpoint, tmp_path / f"{name}-alone", options)
        assert files == expected[name], name
    alone.close()


def test_the_graphs_that_were_run_are_not_kept(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    with compat.Graph().as_default(), compat.Session() as session:
        x = compat.placeholder("float32", [None, 2000], name="x")
        weight = compat.get_variable("weight", [2000, 4000], initializer=compat.ones_initializer())
        compat.matmul(x, weight, name="out")
        session.run(compat.global_variables_initializer())
        compat.train.Saver().save(session, str(checkpoint / "model.ckpt"))
    process = Process(os.sched_getaffinity(0))
    resident = []
    for number in range(12):
        event, files = process.do(checkpoint, tmp_path / str(number), {})
        assert "reference.safetensors" in files
        shutil.rmtree(str(tmp_path / str(number)))
        resident.append(event["resident_memory_bytes"])
    process.close()
    # The variable takes 32 MB: runs that kept it would take 288 more here. The last few may still
    # be closing, in threads of their own.
    assert min(resident[-3:]) - min(resident[:3]) < 144e6, resident
