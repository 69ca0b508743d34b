"""Runs as their manifests tell them, and the files that an archive of each would hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.archive.crate.facts import ArchiveFacts, Creator, FileFact
from orchestration.archive.crate.metadata import crate_metadata
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_settings import to_json
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    LoadOptions,
    LoadSettings,
    RuntimeOptions,
)

ODD = "we ird#1 100%25 é漢 'a' \"b\" ?x=1&y :c [d] \\e\n-f"
OUT = Path("/data/out")
EXTRACT = ExtractOptions(seed=7, reader="tf")
LOAD = LoadOptions("unet")
CHECKPOINT = Path("/data/ckpt 2018")
PROVEN = {
    "state": "proven",
    "exit_code": 0,
    "tolerance": 1e-4,
    "worst": {"tensor": "logits:0", "max_abs": 5e-7, "max_rel": 1e-6},
}
FAILED = {
    "state": "failed",
    "exit_code": 53,
    "tolerance": 1e-4,
    "worst": {"tensor": "logits:0", "max_abs": 0.5, "max_rel": 0.25},
}
TODAY = ArchiveFacts("2026-11-26")
EXPORTED = {"state": "exported", "exit_code": 0, "tolerance": None, "worst": None}


@dataclass(frozen=True)
class Case:
    """What is archived.

    Attributes:
        manifest: of the run.
        names: of the payload's files, below `data/`.
        facts: what is told besides.
    """

    manifest: dict[str, Any]
    names: Sequence[str]
    facts: ArchiveFacts = TODAY

    def files(self) -> list[FileFact]:
        """The files, each holding its own name."""
        return [
            FileFact(name, len(name.encode()), hashlib.sha256(name.encode()).hexdigest())
            for name in self.names
        ]

    def run(self, folder: Path) -> RecordedRun:
        """The run, by a manifest that is written into a folder."""
        (folder / "manifest.json").write_text(json.dumps(self.manifest), encoding="utf-8")
        return RecordedRun.read(folder)

    def metadata(self, folder: Path) -> bytes:
        """What `crate_metadata` makes of it; `folder` takes the manifest."""
        return crate_metadata(self.run(folder), self.files(), self.facts)

    def entities(self, folder: Path) -> dict[str, dict[str, Any]]:
        """The entities of its metadata by their identifiers."""
        graph = json.loads(self.metadata(folder))["@graph"]
        assert len({entity["@id"] for entity in graph}) == len(graph)
        return {entity["@id"]: entity for entity in graph}

    def write(self, crate: Path) -> None:
        """Write the payload."""
        for name in self.names:
            path = crate / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8", newline="")
        run = crate.with_name(f"{crate.name}-run")
        run.mkdir()
        (crate / "ro-crate-metadata.json").write_bytes(self.metadata(run))


def references(value: Any) -> list[str]:
    """Identifiers that a property of an entity names."""
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def image(stage: str, reference: str, digit: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "reference": reference,
        "id": f"sha256:{digit * 64}",
        "base": {"name": "python:3.7-slim-bookworm", "digest": f"sha256:{'c' * 64}"},
        "labels": {},
    }


def process(versions: dict[str, str], **where: Any) -> dict[str, Any]:
    return {
        "argv": ["podman", "run", "--name", "a b"],
        "image": None,
        "engine": None,
        "environment": None,
        "started": "2026-11-26T00:52:31+00:00",
        "ended": "2026-11-26T00:52:36+00:00",
        "versions": versions,
        "result": {"reason": "1 output compared"},
        **where,
    }


def environment(lock: str | None, packages: dict[str, str]) -> dict[str, Any]:
    return {
        "python": "/env/bin/python",
        "lock": lock,
        "lock_sha256": lock and "e" * 64,
        "packages": packages,
    }


def manifest(
    settings: ConvertSettings | ExtractSettings | LoadSettings,
    inputs: dict[str, Path],
    verdict: dict[str, Any],
    **stages: dict[str, Any],
) -> dict[str, Any]:
    command = type(settings).__name__.removesuffix("Settings").lower()
    file = {"name": "model.ckpt-1.index", "size_bytes": 3, "sha256": "0" * 64}
    return {
        "format": "tf1-to-torch-manifest",
        "version": 2,
        "command": command,
        "program": {"version": "0.1.0", "source_sha256": "0" * 64, "locks": {}},
        "settings": to_json(settings),
        "seeds": {"inputs": 7, "initialisation": 0, "python_hash": 0},
        "inputs": [
            {"role": role, "folder": str(folder), "files": [file]}
            for role, folder in inputs.items()
        ],
        "host": {"user_id": 1000, "name": "node7"},
        "verdict": verdict,
        "files": [file],
        **stages,
    }


RESULT = (
    "result/config.json",
    "result/export/graph.json",
    "result/export/variables.safetensors",
    "result/manifest.json",
    "result/mapping.csv",
    "result/model.safetensors",
)
TF1 = {"python": "3.7.16", "tensorflow": "1.15.5"}
TORCH = {"python": "3.11.7", "torch": "2.13.0+cpu"}
# Everything that an archive may hold, odd names among it.
DOCKER = Case(
    manifest(
        ConvertSettings(CHECKPOINT, OUT, False, EXTRACT, LOAD, RuntimeOptions("docker")),
        {"checkpoint": CHECKPOINT, "data": Path("/data/shards"), "map": Path("/data")},
        PROVEN,
        extract=process(
            TF1,
            image=image("extract", "tf1-to-torch/extract:0a", "a"),
            argv={"image": "x", "command": ["-m", "stage_extract"]},
            reused_from=None,
        ),
        load=process(TORCH, image=image("load", "quay.io:443/lab/load:1.2@sha256:00", "b")),
    ),
    (
        *RESULT,
        "original/model.ckpt-1.index",
        f"original/{ODD}.data-00000-of-00001",
        "given/data/model.ckpt-1.data-00000-of-00001",
        "given/map/mapping.csv",
        "code/train.py",
        f"code/{ODD}/{ODD}.py",
        "program/orchestrate.py",
        "images/extract.oci.tar",
        "images/load.oci.tar",
        "wheelhouse/numpy-1.18.5-cp37-cp37m-manylinux1_x86_64.whl",
        "legal/license/LICENSE",
        "legal/citation/CITATION.cff",
        "renamed.json",
    ),
    ArchiveFacts(
        "2026-11-26T08:00:00+00:00",
        "legal/license/LICENSE",
        (
            Creator("Ada Lovelace", orcid="0000-0002-1825-0097"),
            Creator("Bo Ek", mail="bo@example.org"),
        ),
        "legal/citation/CITATION.cff",
        "10.5281/zenodo.1234567",
        "5d41402abc4b2a76b9719d911017c592ae0a1b2c",
        {f"original/{ODD}.data-00000-of-00001": "original/\udce4%.data-00000-of-00001"},
    ),
)
# Environments in place of images, a proof that failed, and nothing told that need not be.
LOCAL = Case(
    manifest(
        ConvertSettings(CHECKPOINT, OUT, False, EXTRACT, LOAD, RuntimeOptions("local")),
        {"checkpoint": CHECKPOINT},
        FAILED,
        extract=process(
            TF1,
            environment=environment("requirements-extract.txt", {"numpy": "1.18.5"}),
            reused_from="/data/earlier",
        ),
        load=process(TORCH, environment=environment("requirements-load-cpu.txt", TORCH)),
    ),
    (
        *RESULT,
        "original/model.ckpt-1.index",
        "program/docker/requirements-load-cpu.txt",
        "code/train.py",
    ),
)
# Stage 1 alone, without TensorFlow, in the image of stage 2.
SIF = Case(
    manifest(
        ExtractSettings(CHECKPOINT, OUT, False, EXTRACT, RuntimeOptions("apptainer")),
        {"checkpoint": CHECKPOINT},
        EXPORTED,
        extract=process(
            {"python": "3.11.7"},
            image=image("load", "/srv/images/load 1.img", "d"),
            reused_from=None,
        ),
    ),
    (
        "original/model.ckpt-1.index",
        "result/graph.json",
        "result/variables.safetensors",
        "result/manifest.json",
        "images/load.sif",
    ),
    ArchiveFacts("2026-11-26", "CC-BY-4.0", (Creator("Ada Lovelace"),)),
)
# Stage 2 alone, in an environment of the user's.
EXPORT = Case(
    manifest(
        LoadSettings(Path("/data/export"), OUT, False, LOAD, RuntimeOptions("local")),
        {"export": Path("/data/export"), "model": Path("/home/me")},
        {**PROVEN, "state": "unproven", "worst": None},
        load=process(TORCH, environment=environment(None, TORCH)),
    ),
    (*RESULT, "given/model/net.py"),
)
CASES = {"docker": DOCKER, "local": LOCAL, "sif": SIF, "export": EXPORT}
