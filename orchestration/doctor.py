"""What works on this machine, what does not, and the command that mends it. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.engine_access import open_engine
from orchestration.environments import environments_folder, existing_python, recipe_for
from orchestration.errors import ImageMissing, LegacyPythonMissing, OrchestrationError
from orchestration.images import build_command, find_image, recorded_images
from orchestration.interpreters import find_legacy_python
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.base import Availability, Stage
from orchestration.runtimes.docker import tensorflow_on
from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import RuntimeOptions, TorchVariant

if TYPE_CHECKING:
    from orchestration.engine import Engine

GB = 10**9
# Measured, with what building them needs besides: both images with CPU torch, both environments.
IMAGES_NEED_BYTES = 6 * GB
ENVIRONMENTS_NEED_BYTES = 3 * GB
ELSEWHERE = (
    "`--reader pure` reads checkpoints here; for a proof, run `orchestrate.py extract` on an x86_64"
    " machine with AVX (not an emulated one), and `orchestrate.py load` here."
)
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
GPU_QUERY_TIMEOUT_S = 20


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        ok: True = works, False = does not, None = not needed here.
        detail: what was found.
        remedy: the command (or step) that mends it, or None.
    """

    name: str
    ok: bool | None
    detail: str
    remedy: str | None = None


def diagnose(options: RuntimeOptions, environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at both runtimes and at what each of them needs."""
    gpus = find_gpus(environment)
    return [
        check_processor(platform.machine(), read_cpu_flags()),
        *_check_docker(gpus),
        *_check_local(options, environment),
    ]


def check_processor(machine: str, flags: frozenset[str] | None) -> Check:
    """Whether this machine's processor can run TensorFlow.

    Args:
        machine: as `platform.machine` says.
        flags: of the first processor, None where the system does not tell.
    """
    missing = why_no_tensorflow(machine, flags)
    if missing is not None:
        return Check("processor", False, missing, ELSEWHERE)
    return Check("processor", True, f"{machine} with AVX" if flags else machine)


def find_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Name and memory of each NVIDIA card that the driver shows; empty without cards or driver."""
    program = shutil.which(GPU_QUERY[0], path=environment.get("PATH"))
    if program is None:
        return ()
    try:
        answer = subprocess.run(
            [program, *GPU_QUERY[1:]],
            capture_output=True,
            text=True,
            timeout=GPU_QUERY_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def check_gpu(gpus: tuple[str, ...], engine_information: Mapping[str, Any]) -> Check:
    """Whether containers can use the machine's cards."""
    if not gpus:
        return Check("docker GPU", None, "no NVIDIA card found; stage 2 runs on the CPU")
    if "nvidia" in engine_information.get("Runtimes", {}):
        return Check("docker GPU", True, "; ".join(gpus))
    return Check(
        "docker GPU",
        False,
        f"{'; '.join(gpus)}, and the engine knows no way to it",
        "Install the NVIDIA container toolkit, run `sudo nvidia-ctk runtime configure`, and "
        "restart Docker.",
    )


def check_readers(name: str, tensorflow: Availability) -> Check:
    """Which values of `--reader` work with a runtime."""
    if tensorflow.ok:
        return Check(name, True, f"tf, pure, both ({tensorflow.reason})")
    return Check(name, None, f"pure, which runs no reference ({tensorflow.reason.rstrip('.')})")


def check_disk(name: str, folder: Path, needed_bytes: int, already_made: bool) -> Check:
    """Free space where something large is kept.

    Args:
        name: what is kept there.
        folder: where; it, or the nearest parent that exists, is looked at.
        needed_bytes: what making it takes.
        already_made: then nothing is needed any more.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_bytes = shutil.disk_usage(existing).free
    detail = f"{free_bytes / GB:.1f} GB free in {folder}"
    if already_made or free_bytes >= needed_bytes:
        return Check(name, True, detail)
    return Check(
        name,
        False,
        f"{detail}, {needed_bytes / GB:.0f} GB needed",
        "Make room there, or move it to a larger disk.",
    )


def _check_docker(gpus: tuple[str, ...]) -> Iterator[Check]:
    try:
        engine = open_engine()
    except OrchestrationError as error:
        yield Check("docker", False, error.happened, error.remedy)
        return
    try:
        information = engine.info()
        yield Check("docker", True, f"engine {information['ServerVersion']} answers")
        tensorflow = tensorflow_on(engine)
        yield check_readers("docker readers", tensorflow)
        needed: tuple[Stage, ...] = ("extract", "load") if tensorflow.ok else ("load",)
        images = [_check_image(engine, stage, "cpu") for stage in needed]
        yield from images
        yield check_gpu(gpus, information)
        if gpus:
            yield _check_image(engine, "load", "cuda")
        root = Path(information.get("DockerRootDir", "/var/lib/docker"))
        # An engine elsewhere, or one whose folder may not be entered, tells nothing here.
        if os.access(root, os.X_OK):
            made = all(check.ok for check in images)
            yield check_disk("docker disk", root, IMAGES_NEED_BYTES, made)
    except OrchestrationError as error:
        yield Check("docker", False, error.happened, error.remedy)
    finally:
        engine.close()


def _check_image(engine: Engine, stage: Stage, variant: TorchVariant) -> Check:
    name = f"docker image {stage}" + (f" ({variant} torch)" if stage == "load" else "")
    try:
        sources, details = find_image(engine, stage, (variant,))
    except ImageMissing as error:
        return Check(name, False, error.happened, error.remedy)
    detail = f"{sources.reference}, {details.size_bytes / GB:.2f} GB, {details.image_id[:19]}"
    record = recorded_images().get(sources.reference)
    if record is not None and record["digest"] != details.image_id:
        return Check(
            name,
            False,
            f"{detail}, and {record['digest'][:19]} is what was built here under that name",
            f"Run `{build_command(stage, variant)} --no-cache`.",
        )
    return Check(name, True, detail)


def _check_local(options: RuntimeOptions, environment: Mapping[str, str]) -> Iterator[Check]:
    runtime = LocalRuntime(options, environment)
    availability = runtime.availability()
    yield Check("local", availability.ok, availability.reason, availability.remedy)
    try:
        yield check_readers("local readers", runtime.tensorflow())
        python = find_legacy_python(options.legacy_python, environment, Path.home())
        version = ".".join(str(part) for part in python.version)
        yield Check("local Python 3.7", True, f"{version}, {python.path} ({python.found_in})")
    except OrchestrationError as error:
        yield Check("local Python 3.7", False, error.happened, error.remedy)
    made = []
    stages: tuple[Stage, ...] = ("extract", "load")
    for stage in stages:
        try:
            path = existing_python(recipe_for(stage, options.torch_variant), options, environment)
        except LegacyPythonMissing:  # the named one, told above
            made.append(False)
            continue
        made.append(path is not None)
        detail = "not made yet; the first run makes it" if path is None else os.fspath(path)
        yield Check(f"local environment {stage}", None if path is None else True, detail)
    folder = environments_folder(environment)
    yield check_disk("local disk", folder, ENVIRONMENTS_NEED_BYTES, all(made))
