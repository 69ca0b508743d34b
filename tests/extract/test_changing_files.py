"""Files that are no longer what they were when the job began to read them."""

from __future__ import annotations

import io
import json
import os

import pytest

from stage_extract.export import run_job
from stage_extract.protocol import EventStream
from stage_extract.worker import run_job_line

DATA = ".data-00000-of-00001"


class Interfering(io.StringIO):
    """The other end of the events, that does something once the first tensor was written."""

    def __init__(self, action):
        super().__init__()
        self._action = action

    def write(self, text):
        if self._action is not None and '"progress"' in text:
            self._action()
            self._action = None
        return super().write(text)


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path):
    with open(path, "rb") as file:
        data = file.read()
    os.rename(path, path + ".old")
    with open(path, "wb") as file:
        file.write(data)


def rewrite(path):
    with open(path, "r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(byte)
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("suffix", [".index", DATA])
@pytest.mark.parametrize("change", [grow, replace, rewrite, os.unlink])
def test_a_file_that_changes_meanwhile(checkpoint, out, change, suffix):
    stream = Interfering(lambda: change(checkpoint + suffix))
    job = {"job": "j", "command": "extract", "checkpoint": checkpoint, "out": str(out)}
    run_job_line(json.dumps(job), EventStream(stream), run_job)
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert last["event"] == "failed"
    assert last["error"]["class"] == "NotReadable"
    told = last["error"]["happened"]
    assert os.path.basename(checkpoint + suffix) in told
    assert "changed while it was read" in told or "No such file" in told
    assert os.listdir(str(out)) == []
