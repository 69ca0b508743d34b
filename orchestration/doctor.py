"""What works on this machine, what does not, and the command that mends it. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.apptainer_doctor import check_apptainer
from orchestration.doctor_checks import (
    GB,
    IMAGES_NEED_BYTES,
    Check,
    check_disk,
    check_image,
    check_readers,
)
from orchestration.engine_access import open_engine
from orchestration.environments import environments_folder, existing_python, recipe_for
from orchestration.errors import LegacyPythonMissing, OrchestrationError
from orchestration.interpreters import find_legacy_python
from orchestration.podman_doctor import check_podman
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.base import Stage
from orchestration.runtimes.docker import tensorflow_on
from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import RuntimeOptions

if TYPE_CHECKING:
    from orchestration.engine import Engine

# Measured, with what making them needs besides.
ENVIRONMENTS_NEED_BYTES = 3 * GB
ELSEWHERE = (
    "`--reader pure` reads checkpoints here; for a proof, run `orchestrate.py extract` on an x86_64"
    " machine with AVX (not an emulated one), and `orchestrate.py load` here."
)
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
GPU_QUERY_TIMEOUT_S = 20


def diagnose(options: RuntimeOptions, environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at every runtime and at what each of them needs."""
    gpus = find_gpus(environment)
    return [
        check_processor(platform.machine(), read_cpu_flags()),
        *_check_docker(gpus),
        *check_podman(environment, gpus),
        *check_apptainer(options, environment),
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


def _check_docker(gpus: tuple[str, ...]) -> Iterator[Check]:
    try:
        engine = open_engine()
    except OrchestrationError as error:
        yield Check("docker", False, error.happened, error.remedy)
        return
    try:
        information = engine.info()
        yield Check("docker", True, _engine_title(engine, information))
        tensorflow = tensorflow_on(engine)
        yield check_readers("docker readers", tensorflow)
        needed: tuple[Stage, ...] = ("extract", "load") if tensorflow.ok else ("load",)
        images = [check_image(engine, stage, "cpu") for stage in needed]
        yield from images
        yield check_gpu(gpus, information)
        if gpus:
            yield check_image(engine, "load", "cuda")
        root = Path(information.get("DockerRootDir", "/var/lib/docker"))
        # An engine elsewhere, or one whose folder may not be entered, tells nothing here.
        if os.access(root, os.X_OK):
            made = all(check.ok for check in images)
            yield check_disk("docker disk", root, IMAGES_NEED_BYTES, made)
    except OrchestrationError as error:
        yield Check("docker", False, error.happened, error.remedy)
    finally:
        engine.close()


def _engine_title(engine: Engine, information: Mapping[str, Any]) -> str:
    podman = engine.podman()
    if podman is None:
        return f"engine {information['ServerVersion']} answers"
    return f"{podman.title} answers in Docker's place"


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
