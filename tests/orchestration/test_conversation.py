"""What a conversation does with its stages, apart from what they are."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping

import pytest

from orchestration.conversation import Conversation
from orchestration.runtimes.base import Event, ExitStatus, StageSpec


class ObedientStage:
    """Answers every job at once, and then waits for more until it is killed."""

    def __init__(self) -> None:
        self.killed = False
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def path(self, host_path) -> str:
        return str(host_path)

    def host_text(self, text: str) -> str:
        return text

    def send(self, job: Mapping[str, object]) -> None:
        self._events.put({"event": "done", "job": job["job"], "result": {}})

    def events(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            yield event

    def close_input(self) -> None:
        pass

    def wait(self) -> ExitStatus:
        return ExitStatus(137, 9)

    def kill(self) -> None:
        self.killed = True
        self._events.put(None)


class TwoStages:
    """A runtime with both stages."""

    def __init__(self) -> None:
        self.stages = {"extract": ObedientStage(), "load": ObedientStage()}

    def home_record(self, home: str) -> Mapping[str, object]:
        return {"image": None, "engine": None, "environment": None}

    def start(self, spec, on_text) -> ObedientStage:
        return self.stages[spec.stage]


@pytest.mark.parametrize(
    ("is_last", "killed"),
    [
        # What it wrote is checked next: nothing may change it any more.
        pytest.param(True, True, id="last-job"),
        pytest.param(False, False, id="more-jobs-come"),
    ],
)
def test_a_stage_is_ended_when_its_last_job_is_answered(is_last, killed):
    runtime = TwoStages()
    talk = Conversation(runtime, lambda *event: None, lambda *text: None)
    for stage in ("extract", "load"):
        talk.start(StageSpec(stage, ()))
    talk.post("extract", {"job": "extract"}, is_last=is_last)
    talk.wait_for("extract", "extract")
    assert runtime.stages["extract"].killed is killed
    assert not runtime.stages["load"].killed
    # Its end is no failure of the other one's job.
    talk.post("load", {"job": "load"}, is_last=True)
    assert talk.wait_for("load", "load")["event"] == "done"
    talk.stop()
