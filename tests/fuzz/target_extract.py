"""Stage 1: files of every format, read by TensorFlow or without it. CPython 3.7 too."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import zipfile
from typing import Any, Dict, List

from stage_extract.export import run_job
from stage_extract.protocol import EventStream
from stage_extract.worker import run_job_line
from tests.fuzz.mutation import Files, mutate_bytes, mutate_files
from tests.fuzz.tables import is_table, mutate_table
from tests.fuzz.target import DONE, INPUT, OUT, Finding, outcome_of, read_files, write_files

_WITH_REFERENCE = 20
"""Of so many inputs one is run as well."""


def extract(folder: str, reference: bool = False) -> str:
    """Extract `folder`/input to `folder`/out, as the worker does. Raises and gives as `run`."""
    out = os.path.join(folder, OUT)
    stream = io.StringIO()
    job = {
        "job": "1",
        "command": "extract",
        "checkpoint": _given(os.path.join(folder, INPUT)),
        "out": out,
        "options": {"reference": reference},
    }
    run_job_line(json.dumps(job), EventStream(stream), run_job)
    outcome = outcome_of([json.loads(line) for line in stream.getvalue().splitlines()])
    left = sorted(os.listdir(out))
    if outcome != DONE and left:
        raise Finding(f"{outcome}, and {left} is left behind")
    return outcome


class ExtractTarget:
    """One format: its files, changed; what is checksummed is changed within its checksums too."""

    def __init__(self, sample: str) -> None:
        self._files = read_files(sample)
        self._others = [self._files[name] for name in sorted(self._files)]
        self._reference = False

    def prepare(self, chance: random.Random, folder: str) -> None:
        write_files(os.path.join(folder, INPUT), self._damaged(chance))
        self._reference = chance.randrange(_WITH_REFERENCE) == 0

    def run(self, folder: str) -> str:
        return extract(folder, self._reference)

    def _damaged(self, chance: random.Random) -> Files:
        tables = [name for name in sorted(self._files) if is_table(self._files[name])]
        archives = [name for name in sorted(self._files) if name.startswith("model.tar")]
        archives += [name for name in sorted(self._files) if name.endswith(".zip")]
        if tables and chance.randrange(2):
            name = chance.choice(tables)
            return {**self._files, name: mutate_table(self._files[name], chance)}
        if archives and chance.randrange(2):
            return {archives[0]: _repacked(archives[0], self._files[archives[0]], chance)}
        return mutate_files(self._files, chance, self._others)


def _given(folder: str) -> str:
    """What a user would name: the one thing in the folder, or the folder."""
    names = os.listdir(folder)
    return os.path.join(folder, names[0]) if len(names) == 1 else folder


_NAMES = ("../x", "/tmp/x", "a/../../x", "a\nb", "x" * 300, "model", "model/model.ckpt-20.index/x")


def _repacked(name: str, data: bytes, chance: random.Random) -> bytes:
    """An archive that is sound, of what is not: names, links, devices, sizes, content."""
    members = _members(name, data)
    buffer = io.BytesIO()
    damaged = chance.choice(sorted(members))
    members[damaged] = mutate_bytes(members[damaged], chance)
    renamed = {n: chance.choice(_NAMES) for n in members if chance.randrange(6) == 0}
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(renamed.get(member, member), content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w:gz" if name.endswith("gz") else "w") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(renamed.get(member, member))
            info.size = len(content)
            if chance.randrange(6) == 0:
                info.type = chance.choice((b"1", b"2", b"3", b"4", b"5", b"6", b"S"))
                info.linkname = chance.choice(
                    ("/etc/passwd", "../../x", "model/model.ckpt-20.meta")
                )
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _members(name: str, data: bytes) -> Dict[str, bytes]:
    found: Dict[str, bytes] = {}
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {member: archive.read(member) for member in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files: List[Any] = [info for info in tar.getmembers() if info.isfile()]
        for info in files:
            content = tar.extractfile(info)
            found[info.name] = content.read() if content is not None else b""
    return found
