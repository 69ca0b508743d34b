"""`batch --slurm --wait`: follows jobs to their end by the ledger, and by what Slurm says."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from orchestration.batch.items import Item
from orchestration.batch.overview import Overview, read_overview
from orchestration.batch.settings import BatchFolder
from orchestration.batch.slurm_jobs import Slurm, Task
from orchestration.batch.slurm_records import SubmittedJob, kept_jobs
from orchestration.batch.slurm_states import Standing
from orchestration.batch.stored_items import listed
from orchestration.batch.summary import HTML_FILE, write_summaries
from orchestration.display import TerminalDisplay
from orchestration.errors import EXIT_INTERRUPTED, EXIT_ITEMS_LEFT, SlurmUnusable
from orchestration.run_context import Display, RunContext
from orchestration.summary import shown_path

# squeue is a question to the controller that a whole cluster shares.
LOOK_EVERY_S = 5.0
_LINE_EVERY_S = 30.0
_MOST_TOLD = 10


def follow(folder: BatchFolder, items: Sequence[Item], slurm: Slurm, context: RunContext) -> int:
    """Show how a batch goes on until no task of it is in the queue any more.

    Ctrl-C ends this and nothing else: the jobs go on.

    Returns:
        The exit code of the batch, by its ledger; after Ctrl-C that of a program which it ended.

    Raises:
        BadItems: what was submitted cannot be read.
        DiskFull, OutputNotWritable: the ledger cannot be read, or the summary be written.
    """
    jobs = kept_jobs(folder)
    view = View(context.display)
    try:
        tasks = _await_end(folder, items, slurm, jobs, view)
    except KeyboardInterrupt:
        out = shlex.quote(shown_path(folder.out))
        view.say(
            f"The jobs go on. To cancel them: python orchestrate.py batch --out {out} --cancel"
        )
        return EXIT_INTERRUPTED
    # A task that was killed has not told of its end.
    overview = write_summaries(folder)
    view.show(overview, [])
    view.say(f"See {shown_path(folder.out / HTML_FILE)}")
    if overview.exit_code == EXIT_ITEMS_LEFT:
        for line in lines_of_ended(tasks, slurm.accounted([job.job for job in jobs]), jobs, folder):
            view.say(line)
    return overview.exit_code


class View:
    """One bar on a terminal, a line now and then elsewhere.

    Args:
        display: of the command.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._last_words = ""
        self._last_line_s = -_LINE_EVERY_S

    def say(self, line: str) -> None:
        """Show a line."""
        self._display.notify(line)

    def show(self, overview: Overview, tasks: Iterable[Task]) -> None:
        """Show how far the batch is, and where its tasks stand."""
        words = words_of(overview, tasks)
        total = len(overview.items)
        if isinstance(self._display, TerminalDisplay):
            self._display.overall(words, total - overview.left, total)
        elif words != self._last_words and (not overview.left or self._is_due()):
            self._display.notify(words)
            self._last_words = words

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_line_s < _LINE_EVERY_S:
            return False
        self._last_line_s = now_s
        return True


def words_of(overview: Overview, tasks: Iterable[Task]) -> str:
    """Counts of items, by the ledger, and of tasks, by the queue."""
    counts = overview.counts()
    well = counts["done"] + counts["skipped"]
    text = f"{well} done, {counts['failed']} failed, {overview.left} left"
    in_queue = [task for task in tasks if task.is_in_queue]
    found = Counter(task.standing for task in in_queue)
    shards = [
        f"{found[standing]} {words}"
        for standing, words in (
            (Standing.RUNNING, "at work"),
            (Standing.WAITING, "waiting"),
            (Standing.HELD, "held"),
            (Standing.UNKNOWN, "in an unknown state"),
        )
        if found[standing]
    ]
    if not shards:
        return text
    # Why nothing moves is what people want to know then.
    reasons = sorted({task.reason for task in in_queue if task.reason})
    why = f" ({', '.join(reasons)})" if reasons and not found[Standing.RUNNING] else ""
    return f"{text}; shards: {', '.join(shards)}{why}"


def lines_of_ended(
    tasks: Sequence[Task],
    accounted: Sequence[Task] | None,
    jobs: Sequence[SubmittedJob],
    folder: BatchFolder,
) -> list[str]:
    """How tasks ended that left items, for people.

    Args:
        tasks: as the queue knew them at last.
        accounted: as the accounting has them, which knows exit codes; None = there is none.
        jobs: all that were submitted.
        folder: of the batch.
    """
    latest = {(task.job, task.number): task for task in (*tasks, *(accounted or ()))}
    logs = {job.job: job for job in jobs}
    ended = [task for task in latest.values() if task.state != "COMPLETED"]
    lines = [
        f"Shard {task.number} (job {task.job}_{task.number}): {task.state}"
        + (f", {task.reason}" if task.reason else "")
        + f". Log: {shown_path(logs[task.job].log(task.number, folder))}"
        for task in ended[-_MOST_TOLD:]
    ]
    return [*lines, "Items are left. The same command again submits them."]


def _await_end(
    folder: BatchFolder,
    items: Sequence[Item],
    slurm: Slurm,
    jobs: Sequence[SubmittedJob],
    view: View,
) -> list[Task]:
    """Wait; returns the tasks as they ended. A controller that is away is waited for, too."""
    names = listed(items)
    is_away = False
    while True:
        try:
            tasks = slurm.tasks([job.job for job in jobs])
        except SlurmUnusable as error:
            if not is_away:
                view.say(f"{error.happened} The jobs go on; asking again.")
            is_away = True
        else:
            is_away = False
            view.show(read_overview(folder, names), tasks)
            if not any(task.is_in_queue for task in tasks):
                return tasks
        time.sleep(LOOK_EVERY_S)
