"""A short run of what `make fuzz` does for ten minutes; and its figures in the README."""

from __future__ import annotations

import json
import random
import sys

import pytest

from tests.fuzz import run
from tests.fuzz.run import GROUPS, Tally, Worker, fuzz, show, watch
from tests.fuzz.table import README, RESULTS, inserted, table
from tests.fuzz.target import INPUT, write_files
from tests.fuzz.worker import try_input

SECONDS = 40


@pytest.mark.slow
def test_nothing_is_found_in_a_short_run():
    tallies = fuzz([*GROUPS], SECONDS, 0)
    show(tallies)
    assert [finding for tally in tallies.values() for finding in tally.findings] == []
    for group, tally in tallies.items():
        assert tally.next_number > 10, f"{group}: {tally.next_number} inputs only"


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        pytest.param("os.abort()", "ended the process with -6: last words", id="crash"),
        pytest.param("time.sleep(60)", "said nothing for 2 s", id="hang"),
    ],
)
def test_what_ends_or_stops_a_worker_is_kept(ending, told, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "FINDINGS", tmp_path / "findings")
    monkeypatch.setattr(run, "MOST_WAIT_S", 2)
    (tmp_path / "run" / "input").mkdir(parents=True)
    (tmp_path / "run" / "input" / "data").write_bytes(b"bad")
    program = f"""
import os, sys, time
print('{{"begin": 6, "target": "x"}}', flush=True)
print('{{"end": 6, "target": "x", "outcome": "done"}}', flush=True)
print('{{"begin": 7, "target": "x"}}', flush=True)
print("last words", file=sys.stderr, flush=True)
{ending}
"""
    tally = Tally(left_s=30)
    worker = Worker([sys.executable, "-c", program])
    watch(worker, tally, tmp_path)
    worker.end()
    assert [finding[: len("x 7: it ") + len(told)] for finding in tally.findings] == [
        f"x 7: it {told}"
    ]
    assert tally.next_number == 8
    assert dict(tally.outcomes["x"]) == {"done": 1, "finding": 1}
    assert (tmp_path / "findings" / "x 7" / "input" / "data").read_bytes() == b"bad"


class _Broken:
    """A target that is no refusal, and leaves something behind."""

    def prepare(self, chance, folder):
        write_files(f"{folder}/{INPUT}", {"data": bytes([chance.randrange(256)])})

    def run(self, folder):
        raise MemoryError("all of it")


def test_what_is_no_refusal_is_a_finding(tmp_path):
    ended = try_input(_Broken(), "broken", 5, str(tmp_path))
    assert ended.keys() == {"finding"}
    assert "MemoryError: all of it" in ended["finding"]
    first = (tmp_path / "run" / INPUT / "data").read_bytes()
    assert first == bytes([random.Random("broken/5").randrange(256)])


def test_the_readme_has_the_figures_of_the_last_run():
    text = README.read_text(encoding="utf-8")
    assert inserted(text, table(json.loads(RESULTS.read_text(encoding="utf-8")))) == text
