"""A result with all that it was made from, small, with a record that is right."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.manifest import describe_files, file_names
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_settings import to_json
from orchestration.settings import ConvertSettings, ExtractOptions, LoadOptions, RuntimeOptions

REPOSITORY = Path(__file__).resolve().parents[3]
ORCHESTRATE = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py")]
FIXED = {"SOURCE_DATE_EPOCH": "1700000000"}
WEIGHTS = struct.pack("<6f", 1.0, -2.5, 3.25, 0.0, 1e-7, 6e30)
TIMES = {"started": "2026-11-26T00:52:31+00:00", "ended": "2026-11-26T00:52:36+00:00"}

REASON = "1 output compared"


@dataclass(frozen=True)
class Made:
    """Where the files of a test lie.

    Attributes:
        folder: of all of them.
        checkpoint: the original.
        result: the result folder.
    """

    folder: Path
    checkpoint: Path
    result: Path

    @property
    def run(self) -> RecordedRun:
        """What the result's record tells."""
        return RecordedRun.read(self.result)

    def archive(
        self, bag: str | Path, *arguments: str | Path, more: Mapping[str, str] = FIXED
    ) -> subprocess.CompletedProcess[str]:
        """Run `orchestrate.py archive` to its end."""
        return subprocess.run(
            self.command(bag, *arguments),
            cwd=self.folder,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )

    def command(self, bag: str | Path, *arguments: str | Path) -> list[str]:
        """The command line."""
        given = ("archive", self.result, "--bag", bag, *arguments)
        return [*ORCHESTRATE, *map(os.fspath, given)]


def make_result(folder: Path, originals: Mapping[str, bytes] | None = None) -> Made:
    """Write a checkpoint, and a result that says that it was made of it.

    Args:
        folder: where; made if it is missing.
        originals: name -> content of the checkpoint's files.
    """
    checkpoint, result = folder / "ckpt 2018", folder / "unet-torch"
    for name, content in (originals or {"m.index": b"index", "m.data-0": b"data" * 9}).items():
        path = checkpoint / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (result / "export").mkdir(parents=True)
    tensors = safetensors({"w": WEIGHTS})
    (result / "model.safetensors").write_bytes(tensors)
    (result / "export" / "variables.safetensors").write_bytes(tensors)
    for name in ("config.json", "report.html", "mapping.csv", "export/graph.json"):
        (result / name).write_text(f"{name}\n", encoding="ascii")
    write_record(checkpoint, result)
    return Made(folder, checkpoint, result)


def write_record(checkpoint: Path, result: Path) -> None:
    """Write the result's manifest, as it is after a run of the local runtime."""
    (result / "manifest.json").unlink(missing_ok=True)
    settings = ConvertSettings(
        checkpoint, result, False, ExtractOptions(), LoadOptions("unet"), RuntimeOptions("local")
    )
    process = {
        "argv": ["python", "-m", "stage"],
        "image": None,
        "engine": None,
        "environment": {"python": "p", "lock": None, "lock_sha256": None, "packages": {}},
        "versions": {"python": "3.11.7"},
        "reused_from": None,
        **TIMES,
    }
    originals = describe_files(checkpoint, file_names(checkpoint))
    worst = {"tensor": "logits:0", "max_abs": 5e-7, "max_rel": 1e-6}
    manifest = {
        "format": "tf1-to-torch-manifest",
        "version": 2,
        "command": "convert",
        "created": TIMES["ended"],
        "runtime": "local",
        "program": {"version": "0.1.0", "source_sha256": "0" * 64, "locks": {}},
        "settings": to_json(settings),
        "seeds": {"inputs": 0, "initialisation": 0, "python_hash": 0},
        "host": {"user_id": 1000, "name": "node7"},
        "hardware": {"machine": "x86_64", "cpu_model": None, "cpu_features": None},
        "inputs": [
            {"role": "checkpoint", "folder": os.fspath(checkpoint), "files": originals},
        ],
        "files": describe_files(result, file_names(result)),
        "verdict": {"state": "proven", "exit_code": 0, "tolerance": 1e-4, "worst": worst},
        "extract": {**process, "reader": "tf", "result": {"checkpoint": {"step": 1}}},
        "load": {**process, "result": {"reason": REASON, "verdict": "proven", "parity": worst}},
    }
    (result / "manifest.json").write_text(json.dumps(manifest), encoding="ascii")


def safetensors(tensors: Mapping[str, bytes]) -> bytes:
    """A file with arrays of 2 by 3 numbers."""
    entries, offset = {}, 0
    for name, data in tensors.items():
        offsets = [offset, offset + len(data)]
        entries[name] = {"dtype": "F32", "shape": [2, 3], "data_offsets": offsets}
        offset += len(data)
    header = json.dumps({"__metadata__": {"made": "by hand"}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header + b"".join(tensors.values())


def unpack(stream: Path, folder: Path) -> Path:
    """Unpack a .tar.zst as anybody would; returns the bag's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["tar", "--extract", "--zstd", "--file", stream, "--directory", folder], check=True
    )
    (bag,) = folder.iterdir()
    return bag


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> content of each file of a folder."""
    return {name: (folder / name).read_bytes() for name in file_names(folder)}


def says_bagit(bag: Path) -> tuple[int, str]:
    """What the library's own command says of a bag: exit code and text."""
    command = [sys.executable, "-m", "bagit", "--quiet", "--validate", os.fspath(bag)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr
