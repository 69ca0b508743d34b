from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stage_load.conversion import run_load
from stage_load.jobs import Job, parse_job
from stage_load.stopwatch import Stopwatch
from tests.load.export_maker import ExportMaker
from tests.load.networks import CLASSIFIER_SOURCE, classifier_export, write_model


class RecordedEvents:
    """Takes a job's events in place of a stream."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.progressed: list[tuple[str, int, int, str]] = []

    def progress(self, phase: str, done: int, total: int, unit: str) -> None:
        self.progressed.append((phase, done, total, unit))

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], Path]]:
    """Run one load job; returns its result and the result folder."""

    def run(export: Path, model: str, **options: Any) -> tuple[dict[str, Any], Path]:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        out.mkdir()
        values: Mapping[str, Any] = {
            "job": "1",
            "command": "load",
            "export": str(export),
            "out": str(out),
            "options": {"model": model, "device": "cpu", **options},
        }
        job: Job = parse_job(values)
        events: Any = RecordedEvents()
        return run_load(job, events, Stopwatch()), out

    return run


@pytest.fixture
def classifier(tmp_path: Path) -> tuple[ExportMaker, str]:
    """Return an export that can still be changed, and its model as --model takes it."""
    maker, _ = classifier_export()
    return maker, f"{write_model(tmp_path, CLASSIFIER_SOURCE)}:Classifier"
