"""What the user asked of a batch, as frozen values."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.settings import RuntimeOptions

DEFAULT_RECYCLE_AFTER = 200
# Of --memory-gb.
BYTES_OF_A_GB = 1 << 30


@dataclass(frozen=True)
class Shard:
    """One of several parts of a batch.

    Attributes:
        number: which, from 1.
        count: of how many.
    """

    number: int
    count: int


@dataclass(frozen=True)
class BatchSettings:
    """`orchestrate.py batch ITEMS --out FOLDER`, apart from the items.

    Attributes:
        out: folder of all results, the ledger and the summary; absolute.
        force: redo every item, and replace earlier results.
        runtime: how the stages of every item are to be run.
        jobs: lanes, each with a worker of either stage; None = by cores and memory.
        memory_bytes: what all workers may use together; None = what the machine has free.
        item_timeout_s: longest time for one item; None = no end.
        recycle_after: items after which a worker is replaced by a new one.
        shard: the part that this process does; None = all items.
        retry_failed: items that failed are done again.
        verify: files of results that are there are hashed anew.
        requeue: this is a task of Slurm's, which is put back into the queue at its time limit.
    """

    out: Path
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    force: bool = False
    jobs: int | None = None
    memory_bytes: int | None = None
    item_timeout_s: float | None = None
    recycle_after: int = DEFAULT_RECYCLE_AFTER
    shard: Shard | None = None
    retry_failed: bool = False
    verify: bool = False
    requeue: bool = False


@dataclass(frozen=True)
class SlurmSettings:
    """What `--slurm` is to submit.

    Attributes:
        shards: tasks of the array.
        sbatch: options of the user's own for sbatch, one word each.
        dry_run: print the script, submit nothing.
        wait: follow the jobs to their end.
    """

    shards: int
    sbatch: tuple[str, ...] = ()
    dry_run: bool = False
    wait: bool = False


@dataclass(frozen=True)
class BatchFolder:
    """Where everything of a batch lies that is no result."""

    out: Path

    @property
    def root(self) -> Path:
        """What is no result."""
        return self.out / "batch"

    @property
    def items(self) -> Path:
        """Canonical items files, one a list of items that was asked for."""
        return self.root / "items"

    @property
    def plans(self) -> Path:
        """Which item belongs to which shard."""
        return self.root / "plans"

    @property
    def ledger(self) -> Path:
        """What has become of each item, see `ledger`."""
        return self.root / "ledger"

    @property
    def owners(self) -> Path:
        """Processes at work, with their heartbeats, see `owner`."""
        return self.root / "owners"

    @property
    def replaced(self) -> Path:
        """Results that were changed by somebody, and have been made anew since."""
        return self.root / "replaced"

    @property
    def logs(self) -> Path:
        """What the stages said about each item."""
        return self.root / "logs"

    @property
    def slurm(self) -> Path:
        """Scripts, jobs and logs of Slurm's, see `slurm_records`."""
        return self.root / "slurm"

    @property
    def work(self) -> Path:
        """Where running processes work, each in a folder of its own."""
        return self.out / ".work"


def absolute(path: Path, folder: Path | None = None) -> Path:
    """`path` from the root, seen from `folder` (None: the current one).

    Links are kept, but for those before a "..": what is above them only the file system knows.
    """
    whole = Path(folder or os.getcwd(), path)
    if os.pardir not in whole.parts:
        return whole
    after = len(whole.parts) - whole.parts[::-1].index(os.pardir)
    return Path(os.path.realpath(Path(*whole.parts[:after])), *whole.parts[after:])
