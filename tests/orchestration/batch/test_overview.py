"""Where items stand, by what the ledger and the heartbeats say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch import overview as overview_module
from orchestration.batch.overview import Overview, failures_by_class, seconds_of
from orchestration.batch.owner import LOST_AFTER_S, BatchOwner
from orchestration.batch.pace import pace_of, seconds_left
from orchestration.batch.record import Record
from orchestration.errors import OutputNotWritable
from tests.orchestration.batch.made_batch import (
    ELSEWHERE,
    PARITY,
    MadeBatch,
    at,
    figures,
)

DEAD_HERE = replace(
    BatchOwner.current({}),
    id="d" * 16,
    process=replace(BatchOwner.current({}).process, started="1"),
)
ALIVE_HERE = replace(BatchOwner.current({}), id="e" * 16)


@pytest.fixture
def batch(tmp_path: Path) -> MadeBatch:
    return MadeBatch(tmp_path)


def standings(overview: Overview) -> dict[str, str]:
    return {item.name: item.standing for item in overview.items}


@pytest.mark.parametrize(
    ("state", "fields", "standing"),
    [
        pytest.param(None, {}, "queued", id="not-begun"),
        pytest.param("running", {}, "running", id="running"),
        pytest.param("running", {"owner": DEAD_HERE}, "lost", id="owner-died-here"),
        pytest.param("running", {"owner": ALIVE_HERE}, "lost", id="owner-without-heartbeat"),
        pytest.param("done", {}, "done", id="done"),
        pytest.param("failed", {}, "failed", id="failed"),
        pytest.param("skipped", {}, "skipped", id="skipped"),
        pytest.param("released", {}, "queued", id="given-back"),
    ],
)
def test_standing(batch: MadeBatch, state: Any, fields: dict[str, Any], standing: str) -> None:
    batch.beat()
    batch.beat(DEAD_HERE)
    batch.add("before", "done")
    batch.add("item", state, **fields)
    assert standings(batch.overview()) == {"before": "done", "item": standing}


def test_the_latest_attempt_counts(batch: MadeBatch) -> None:
    batch.add("a", "failed", attempt=9)
    batch.add("a", "done", attempt=10)
    batch.add("a", "running", attempt=2)
    assert standings(batch.overview()) == {"a": "done"}


def test_a_damaged_record_is_told_and_its_item_is_to_be_done(batch: MadeBatch) -> None:
    path = batch.add("a", "done")
    path.write_bytes(path.read_bytes()[:-40])
    (item,) = batch.overview().items
    assert item.standing == "queued"
    assert item.record is None
    assert str(item.note).startswith("the record of attempt 1 is damaged: ")


def test_items_of_earlier_lists_are_counted_alone(batch: MadeBatch) -> None:
    batch.add("a", "done")
    batch.add("b", "failed")
    batch.listed.pop()
    overview = batch.overview()
    assert (standings(overview), overview.unlisted) == ({"a": "done"}, 1)
    assert overview.exit_code == 0


@pytest.mark.parametrize(
    ("age_s", "standing"),
    [
        pytest.param(LOST_AFTER_S - 30, "running", id="late"),
        pytest.param(LOST_AFTER_S + 30, "lost", id="silent"),
    ],
)
@pytest.mark.parametrize("is_writable", [True, False], ids=["writable", "read-only"])
def test_silence_is_told_by_the_clock_of_the_file_system(
    batch: MadeBatch,
    monkeypatch: pytest.MonkeyPatch,
    age_s: float,
    standing: str,
    is_writable: bool,
) -> None:
    if not is_writable:

        def refuse(**_: object) -> None:
            raise PermissionError(13, "Permission denied")

        # Root may write everywhere.
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    batch.add("a", "running")
    # This one lives.
    batch.beat(ALIVE_HERE)
    batch.beat(age_s=age_s)
    before = batch.files()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert standings(batch.overview()) == {"a": standing}
    if not is_writable:
        assert batch.files() == before


def test_who_ends_while_we_look_is_not_lost(
    batch: MadeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.add("a", "running")
    real = overview_module.Onlooker

    class Slow(real):  # type: ignore[misc, valid-type]
        """Between the reading of the record and the look at the heartbeat, the item is done."""

        def is_lost(self, owner: BatchOwner) -> bool:
            batch.add("a", "done")
            return bool(real.is_lost(self, owner))

    monkeypatch.setattr(overview_module, "Onlooker", Slow)
    assert standings(batch.overview()) == {"a": "done"}


def test_a_folder_that_cannot_be_read(batch: MadeBatch) -> None:
    batch.folder.ledger.rmdir()
    batch.folder.ledger.write_text("")
    with pytest.raises(OutputNotWritable, match="cannot be read: Not a directory"):
        batch.overview()


@pytest.mark.parametrize(
    ("states", "code"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param(["done", "skipped"], 0, id="all-well"),
        pytest.param(["done", "failed"], 3, id="some-failed"),
        pytest.param(["failed", None], 75, id="some-left"),
        pytest.param(["done", "released"], 75, id="given-back"),
        pytest.param(["done", "running"], 75, id="running"),
    ],
)
def test_exit_code(batch: MadeBatch, states: list[Any], code: int) -> None:
    for number, state in enumerate(states):
        batch.add(f"item-{number}", state)
    assert batch.overview().exit_code == code


def test_counts_verdicts_and_causes(batch: MadeBatch) -> None:
    batch.add("a", "done")
    batch.add("b", "done", result=figures(None, "unproven"))
    batch.add("c", "failed", failure=PARITY, result=figures(0.5, "failed"))
    batch.add("d", "failed")
    batch.add("e", "failed")
    overview = batch.overview()
    assert overview.counts() == {
        "done": 2,
        "failed": 3,
        "skipped": 0,
        "running": 0,
        "lost": 0,
        "queued": 0,
    }
    assert overview.verdicts() == {"proven": 1, "unproven": 1}
    causes = [
        (name, [i.name for i in found]) for name, found in failures_by_class(overview).items()
    ]
    assert causes == [
        ("CorruptIndex", ["d", "e"]),
        ("ParityFailed", ["c"]),
    ]


# Start and end in seconds; the pace in items a minute.
@pytest.mark.parametrize(
    ("spans", "per_minute"),
    [
        pytest.param([], None, id="nothing-ended"),
        pytest.param([(0, 30)], 2, id="one"),
        pytest.param([(0, 20), (10, 30)], 4, id="two-at-once"),
        pytest.param([(0, 15), (1000, 1015)], 4, id="a-pause-between"),
        pytest.param([(0, 30), (5, 10)], 4, id="one-within-the-other"),
        pytest.param([(0, 0)], None, id="no-time"),
        pytest.param([(5, 0), (10, 40)], 4, id="a-clock-set-back"),
    ],
)
def test_pace(batch: MadeBatch, spans: list[tuple[int, int]], per_minute: float | None) -> None:
    for number, (begin, end) in enumerate(spans):
        batch.add(f"item-{number}", "done", started=at(begin), ended=at(end))
    batch.add("left", None)
    pace = pace_of(batch.overview())
    if per_minute is None:
        assert pace is None
        assert seconds_left(batch.overview(), pace) is None
        return
    assert pace is not None
    assert pace.items_per_minute == pytest.approx(per_minute)
    assert pace.bytes_per_minute == pytest.approx(1e6 * per_minute)
    assert seconds_left(batch.overview(), pace) == pytest.approx(60 / per_minute)


def test_the_latest_items_tell_the_pace(batch: MadeBatch) -> None:
    for number in range(100):
        batch.add(f"slow-{number}", "done", started=at(60 * number), ended=at(60 * number + 60))
    for number in range(100):
        begin = 7000 + number
        batch.add(f"fast-{number}", "failed", started=at(begin), ended=at(begin + 1))
    pace = pace_of(batch.overview())
    assert pace is not None
    assert pace.items_per_minute == pytest.approx(60)


def test_seconds_of_an_attempt() -> None:
    record = Record("a", 1, "running", ELSEWHERE, at(1))
    assert seconds_of(record) is None
    assert seconds_of(replace(record, ended=at(3.5))) == 2.5
