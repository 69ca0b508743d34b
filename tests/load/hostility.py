"""What strangers may send, and a job that is given it."""

from __future__ import annotations

import io
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stage_load.protocol import EventStream
from stage_load.worker import serve

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
MOST_MORE_BYTES = 512 << 20


@contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """Refuse this process more address space than it has and so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def pipe(name):
    def damage(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def device(name):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    return damage


def serve_job(export, out, model="unet"):
    stream = io.StringIO()
    options = {"model": model, "device": "cpu"}
    job = {"job": "1", "command": "load", "export": str(export), "out": str(out)}
    serve([json.dumps({**job, "options": options})], EventStream(stream))
    return [json.loads(line) for line in stream.getvalue().splitlines()][-1]
