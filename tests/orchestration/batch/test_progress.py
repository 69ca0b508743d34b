"""What a bar tells of a batch."""

from __future__ import annotations

import pytest

from orchestration.batch import progress
from orchestration.batch.progress import Tally


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        pytest.param(
            Tally(total=9, done=4, failed=1, own=5, started_s=40.0),
            "4 done, 1 failed, 4 left, 5.0 a minute, 48.0 s to go",
            id="from-nothing",
        ),
        pytest.param(
            Tally(total=500, done=460, failed=20, own=8, started_s=40.0),
            "460 done, 20 failed, 20 left, 8.0 a minute, 2:30 to go",
            id="after-earlier-runs",
        ),
        pytest.param(
            Tally(total=500, done=480, started_s=40.0), "480 done, 0 failed, 20 left", id="none-yet"
        ),
    ],
)
def test_speed_is_that_of_this_run(
    tally: Tally, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    assert tally.words() == words
