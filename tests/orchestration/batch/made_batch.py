"""A batch's folder whose ledger is written by hand: what looks at it needs no conversions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from orchestration.batch.overview import Overview, read_overview
from orchestration.batch.owner import BatchOwner, SlurmTask, heartbeat_path
from orchestration.batch.record import Failure, Record, State
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stored_items import Listed

NOON = datetime(2020, 3, 4, 12, tzinfo=timezone.utc)
CORRUPT = Failure("CorruptIndex", 33, "It is short.", "A whole index.", "Copy it again.")
PARITY = Failure("ParityFailed", 53, "It computes something else.", "The same.", "Look at it.")
# Another machine's: nothing of it is known but its heartbeat.
ELSEWHERE = replace(
    BatchOwner.current({}),
    id="a" * 16,
    host="n1",
    process=replace(BatchOwner.current({}).process, boot="another", pid="77"),
    slurm=SlurmTask("17", "15", "2", 0),
)


def at(seconds: float) -> str:
    """A time so long after noon, as records tell it."""
    return (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def figures(max_rel: float | None = 1e-6, verdict: str = "proven", **more: Any) -> dict[str, Any]:
    """Figures of a result, as `figures.figures_of` gives them."""
    return {
        "verdict": verdict,
        "reason": "1 output and 23 layers compared",
        "max_rel": max_rel,
        "max_abs": max_rel and 3 * max_rel,
        "worst": "head/BiasAdd:0",
        "tolerance": 1e-4,
        "model": "unet",
        "device": "cpu",
        "parameters": 12_875,
        "tensors": 46,
        "size_bytes": 70_000,
        "seconds": 5.25,
        "stage_s": {"extract": 1.5, "load": 0.75},
        "peak_memory_bytes": {"extract": 260_000_000, "load": 310_000_000},
        **more,
    }


class MadeBatch:
    """The folder of a batch, and the items that were asked for."""

    def __init__(self, out: Path) -> None:
        self.folder = BatchFolder(out)
        self.folder.ledger.mkdir(parents=True)
        self.folder.owners.mkdir()
        self.listed: list[Listed] = []

    def add(self, name: str, state: State | None = None, attempt: int = 1, **fields: Any) -> Path:
        """Put an item on the list, with a record unless `state` is None."""
        if name not in {one.name for one in self.listed[-1:]}:
            where = f"models.csv line {len(self.listed) + 2}"
            self.listed.append(Listed(name, f"/data/{name}/model.ckpt-7", where))
        path = self.folder.ledger / f"{name}.{attempt}.json"
        if state is None:
            return path
        usual: dict[str, Any] = {"owner": ELSEWHERE, "started": at(0), "size_bytes": 1_000_000}
        if state != "running":
            usual["ended"] = at(6)
        if state == "done":
            usual["result"] = figures()
        if state == "failed":
            usual |= {"failure": CORRUPT, "log": f"batch/logs/{name}.{attempt}.log"}
        record = Record(name=name, attempt=attempt, state=state, **(usual | fields))
        path.write_text(json.dumps(record.to_json()), encoding="ascii")
        return path

    def beat(self, owner: BatchOwner = ELSEWHERE, age_s: float = 0.0) -> None:
        """Give an owner a heartbeat of some age by the file system's clock."""
        path = heartbeat_path(self.folder.owners, owner.id)
        path.write_text(json.dumps(owner.to_json()), encoding="ascii")
        now_s = path.stat().st_mtime
        os.utime(path, (now_s - age_s, now_s - age_s))

    def store_list(self) -> None:
        """Write the list where the commands look for the latest."""
        self.folder.items.mkdir()
        rows = (json.dumps(vars(one)) for one in self.listed)
        (self.folder.items / "0123.jsonl").write_text("".join(f"{row}\n" for row in rows))

    def overview(self) -> Overview:
        """Where everything stands."""
        return read_overview(self.folder, self.listed)

    def files(self) -> list[tuple[str, int]]:
        """Everything below the folder, with its time: what a look must not change."""
        return sorted((os.fspath(p), p.stat().st_mtime_ns) for p in self._paths())

    def _paths(self) -> Iterable[Path]:
        return self.folder.out.rglob("*")
