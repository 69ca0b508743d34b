"""Which commands are measured on an item, and how one measured run of each is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.items import Item
from benchmarks.measure import Measurement, measure

REPOSITORY = Path(__file__).resolve().parent.parent
TUTORIAL = REPOSITORY / "benchmarks" / "tutorial"
DATA_SUFFIX = ".data-00000-of-00001"
# Read in pieces by hashlib, which uses the processor's SHA instructions where it has them.
SHA256_PROGRAM = """
import hashlib, sys
digest = hashlib.sha256()
with open(sys.argv[1], "rb", buffering=0) as file:
    while piece := file.read(1 << 20):
        digest.update(piece)
"""
COPY_AND_SYNC = 'cp "$1" "$2" && sync "$2"'


@dataclass(frozen=True)
class Pythons:
    """The interpreters of the two environments; the host's own is the one that runs this."""

    extract: Path
    load: Path


@dataclass(frozen=True)
class Workplace:
    """Where one item's files lie while it is measured.

    Attributes:
        item: what is measured.
        pythons: of both environments.
        fixture: folder with the checkpoint.
        scratch: empty folder for everything that runs write.
        keeps: what a run leaves for a later one: the export, the pickle.
    """

    item: Item
    pythons: Pythons
    fixture: Path
    scratch: Path
    keeps: Path

    @property
    def prefix(self) -> Path:
        """The checkpoint's prefix, as TensorFlow calls it."""
        return self.fixture / "model.ckpt"

    @property
    def data_file(self) -> Path:
        """The one shard that holds the values."""
        return self.fixture / f"model.ckpt{DATA_SUFFIX}"

    @property
    def export(self) -> Path:
        """Where a stage 1 run leaves what stage 2 reads."""
        return self.keeps / "export"

    @property
    def pickle(self) -> Path:
        """Where the tutorial's first script leaves what its second one reads."""
        return self.keeps / "weights.pkl"


def stage_environment() -> dict[str, str]:
    """The environment of every measured process, the tutorial's and ours alike."""
    kept = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "OMP_NUM_THREADS")
    fixed = {
        "PYTHONPATH": os.fspath(REPOSITORY),
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "NO_COLOR": "1",
    }
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **fixed}


def run_command(place: Workplace, *command: str | Path, stdin: str = "") -> Measurement:
    """Measure one command in the scratch folder."""
    return measure(command, environment=stage_environment(), cwd=place.scratch, stdin=stdin)


def run_stage(place: Workplace, python: Path, stage: str, job: Mapping[str, object]) -> Measurement:
    """Measure one stage as a process that gets one job."""
    return run_command(place, python, "-s", "-m", stage, stdin=json.dumps(job) + "\n")


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """`folder`, new and empty, and removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _replace(source: Path, target: Path) -> None:
    """Move a run's output to where later runs look for it."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def copy(place: Workplace) -> Measurement:
    """`cp` of the data file."""
    with emptied(place.scratch) as scratch:
        return run_command(place, "cp", place.data_file, scratch / "copy")


def copy_and_sync(place: Workplace) -> Measurement:
    """`cp` of the data file and `sync` of the copy, as a program does that must not lose it."""
    with emptied(place.scratch) as scratch:
        arguments = [os.fspath(place.data_file), os.fspath(scratch / "copy")]
        return run_command(place, "sh", "-c", COPY_AND_SYNC, "sh", *arguments)


def sha256(place: Workplace) -> Measurement:
    """One SHA-256 pass over the data file."""
    with emptied(place.scratch):
        return run_command(place, sys.executable, "-c", SHA256_PROGRAM, place.data_file)


def tutorial_extract(place: Workplace) -> Measurement:
    """The tutorial's first script."""
    with emptied(place.scratch) as scratch:
        pickle = scratch / "weights.pkl"
        script = TUTORIAL / "extract_pickle.py"
        measurement = run_command(place, place.pythons.extract, script, place.prefix, pickle)
        _replace(pickle, place.pickle)
        return measurement


def tutorial_load(place: Workplace) -> Measurement:
    """The tutorial's second script, on what the first one left."""
    with emptied(place.scratch) as scratch:
        script = TUTORIAL / "load_transpose.py"
        model = scratch / "model.pt"
        return run_command(
            place, place.pythons.load, script, place.pickle, place.item.factory, model
        )


def _extract(place: Workplace, reference: bool) -> Measurement:
    job = {
        "job": "1",
        "command": "extract",
        "checkpoint": os.fspath(place.prefix),
        "out": os.fspath(place.scratch / "export"),
        "options": {
            "step": None,
            "keep_optimizer": False,
            "inputs": [],
            "outputs": [],
            "input_shapes": {},
            "reference": reference,
            "reference_mb": 256,
            "seed": 0,
        },
    }
    with emptied(place.scratch) as scratch:
        (scratch / "export").mkdir()
        measurement = run_stage(place, place.pythons.extract, "stage_extract", job)
        _replace(scratch / "export", place.export)
        return measurement


def extract(place: Workplace) -> Measurement:
    """Stage 1 alone, without the reference run."""
    return _extract(place, reference=False)


def extract_with_reference(place: Workplace) -> Measurement:
    """Stage 1 alone, with the reference run: TensorFlow restores the graph and computes."""
    return _extract(place, reference=True)


def _load(place: Workplace, prove: bool) -> Measurement:
    job = {
        "job": "1",
        "command": "load",
        "export": os.fspath(place.export),
        "out": os.fspath(place.scratch / "result"),
        "options": {
            "model": place.item.model_argument,
            "device": "cpu",
            "map": None,
            "tolerance": 1e-4,
            "prove": prove,
        },
    }
    with emptied(place.scratch) as scratch:
        (scratch / "result").mkdir()
        return run_stage(place, place.pythons.load, "stage_load", job)


def load(place: Workplace) -> Measurement:
    """Stage 2 alone, without the comparison."""
    return _load(place, prove=False)


def load_with_proof(place: Workplace) -> Measurement:
    """Stage 2 alone, with the comparison of outputs and layers."""
    return _load(place, prove=True)


def _pipeline(place: Workplace, *options: str) -> Measurement:
    with emptied(place.scratch) as scratch:
        command: list[str | Path] = [sys.executable, REPOSITORY / "orchestrate.py", place.prefix]
        command += ["--model", place.item.model_argument, "--out", scratch / "result"]
        # --force: a second run would find the first one's export and not extract at all.
        command += ["--runtime", "local", "--device", "cpu", "--force", "--quiet", *options]
        return run_command(place, *command)


def pipeline(place: Workplace) -> Measurement:
    """`orchestrate.py` as a whole on the local runtime, without the proof."""
    return _pipeline(place, "--no-prove")


def pipeline_with_proof(place: Workplace) -> Measurement:
    """`orchestrate.py` as a whole on the local runtime, as people run it."""
    return _pipeline(place)


RUNS: Mapping[str, Callable[[Workplace], Measurement]] = {
    "cp": copy,
    "cp and sync": copy_and_sync,
    "sha256": sha256,
    "tutorial 1": tutorial_extract,
    "tutorial 2": tutorial_load,
    "stage 1": extract,
    "stage 2": load,
    "stage 1 with reference": extract_with_reference,
    "stage 2 with proof": load_with_proof,
    "pipeline": pipeline,
    "pipeline with proof": pipeline_with_proof,
}
NEEDS_GRAPH = (
    "tutorial 1",
    "tutorial 2",
    "stage 1 with reference",
    "stage 2 with proof",
    "pipeline with proof",
)


def idle_import(python: Path, module: str, scratch: Path) -> Measurement:
    """What `import tensorflow` or `import torch` alone costs."""
    with emptied(scratch):
        command = (os.fspath(python), "-s", "-c", f"import {module}")
        return measure(command, environment=stage_environment(), cwd=scratch)


def measure_matching(python: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    """What `benchmarks.matching` prints: `tensors`, `matched`, and `wall_s` of each repeat."""
    with emptied(scratch):
        command = (python, "-s", "-m", "benchmarks.matching", str(repeats))
        finished = subprocess.run(
            command,
            check=True,
            capture_output=True,
            cwd=REPOSITORY,
            env=stage_environment(),
            text=True,
        )
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def make_fixture(item: Item, python: Path, folder: Path) -> None:
    """Make the checkpoint of `item` in `folder` unless it is there."""
    if folder.exists():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    with emptied(partial) as fresh:
        program = (os.fspath(python), "-s", "-W", "ignore", "-m", "benchmarks.fixtures")
        command = (*program, item.name, os.fspath(fresh))
        measure(command, environment=stage_environment(), cwd=REPOSITORY)
        fresh.replace(folder)
        fresh.mkdir()


def describe_export(variables_file: Path) -> dict[str, Any]:
    """Sizes of an exported model, from the header of its safetensors file."""
    with variables_file.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    sizes = [entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values()]
    return {"tensors": len(sizes), "model_bytes": sum(sizes), "largest_bytes": max(sizes)}
