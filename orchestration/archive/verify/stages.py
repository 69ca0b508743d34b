"""Runs each stage again, from the bag into temporary folders, on any runtime of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.conversation import Conversation
from orchestration.handoff import check_export
from orchestration.readers import home_of_stage_1
from orchestration.result_folder import writing_to
from orchestration.run_context import RunContext
from orchestration.run_paths import find_checkpoint
from orchestration.runtimes.base import Event, Stage
from orchestration.settings import ExtractOptions, LoadOptions, Reader, RuntimeOptions
from orchestration.stage_files import take_over_from_stage
from orchestration.stage_specs import extract_job, extract_spec, load_job, load_spec

EXTRACT: Stage = "extract"
LOAD: Stage = "load"
_PREFIX = "tf1-to-torch-verify-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk where temporary files go (TMPDIR)."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder).resolve()


def export_again(
    checkpoint: Path,
    options: ExtractOptions,
    reader: Reader,
    runtime: RuntimeOptions,
    out: Path,
    context: RunContext,
) -> dict[str, Any]:
    """Let stage 1 make an export in `out`; never an earlier one in place of it.

    Returns:
        The stage's result.

    Raises:
        OrchestrationError: the stage failed, or could not be run.
    """
    found = find_checkpoint(checkpoint)
    options = replace(options, reader=reader)
    context.runtime.prepare([home_of_stage_1(reader)], context.display.notify)
    out.mkdir()
    with context.conversation() as talk:
        worker = talk.start(extract_spec(found, out, options, runtime, ()))
        talk.post(EXTRACT, extract_job("extract", worker.process, found, out, options), True)
        done = talk.wait_for(EXTRACT, "extract")
        with writing_to(out.parent):
            take_over_from_stage(out)
    check_export(out)
    return dict(done["result"])


class LoadAgain:
    """Stage 2 on the export in a bag. It is started early, and imports torch meanwhile.

    Args:
        export: the export's folder.
        options: what stage 2 was asked for.
        runtime: how it is run.
        out: where it writes; made here.
        context: of the command.
    """

    def __init__(
        self,
        export: Path,
        options: LoadOptions,
        runtime: RuntimeOptions,
        out: Path,
        context: RunContext,
    ) -> None:
        self._export = export
        self._options = options
        self._runtime = runtime
        self._context = context
        self._talk: Conversation = context.conversation()
        self.out = out

    def __enter__(self) -> LoadAgain:
        return self

    def __exit__(self, *error: object) -> None:
        self._talk.stop()

    def start(self) -> None:
        """Start the process.

        Raises:
            OrchestrationError: it cannot be run here.
        """
        self._context.runtime.prepare([LOAD], self._context.display.notify)
        self.out.mkdir()
        self._talk.start(load_spec(self._export, self.out, self._options, self._runtime, ()))

    def finish(self) -> Event:
        """Send the job and wait for the answer.

        Returns:
            The stage's result.

        Raises:
            OrchestrationError: the stage failed or died.
        """
        process = self._talk.workers[LOAD].process
        job = load_job(process, self._export, self.out, self._options, self._runtime.device)
        self._talk.post(LOAD, job, is_last=True)
        done = self._talk.wait_for(LOAD, "load")
        with writing_to(self.out.parent):
            take_over_from_stage(self.out)
        return dict(done["result"])
