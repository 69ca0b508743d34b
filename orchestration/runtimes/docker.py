"""The stages as containers, through a Docker engine."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestration.engine_access import open_engine
from orchestration.errors import (
    EngineForbidden,
    EngineNotInstalled,
    EngineNotRunning,
    EngineRefused,
    FeatureUnavailable,
)
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.base import (
    Availability,
    ExitStatus,
    Mount,
    Notify,
    Stage,
    StageProcess,
    StageSpec,
)
from orchestration.runtimes.container_images import (
    check_own_images,
    find_stage_images,
    image_record,
)
from orchestration.runtimes.container_process import ContainerProcess
from orchestration.runtimes.containers import (
    INTERPRETER,
    Caller,
    container_arguments,
    container_name,
)
from orchestration.runtimes.ownership import (
    RUN_LABEL,
    STAGE_LABEL,
    Owner,
    is_leftover,
    start_time,
)
from orchestration.settings import RuntimeOptions

if TYPE_CHECKING:
    from orchestration.engine import Engine
    from orchestration.image_store import ImageDetails


class DockerRuntime:
    """Each stage in a container of its own image.

    Args:
        options: how the stages are to be run.
    """

    name = "docker"

    def __init__(self, options: RuntimeOptions) -> None:
        self._options = options
        self._images: dict[Stage, tuple[str, ImageDetails]] = {}
        self._gpu = False
        self._rootless = False
        self._is_podman = False
        self._version = ""
        # For specs that name no run: one runtime serves one run.
        self._run_id = secrets.token_hex(4)

    def availability(self) -> Availability:
        """Usable when an engine answers. Whether the images are there is for `prepare` to say."""
        try:
            engine = open_engine()
        except (EngineNotInstalled, EngineNotRunning, EngineForbidden) as error:
            return Availability(False, error.happened, error.remedy)
        try:
            podman = engine.podman()
            if podman is not None:
                return Availability(True, f"{podman.title} answers in Docker's place")
            version = engine.info()["ServerVersion"]
        except (EngineNotRunning, EngineRefused) as error:
            return Availability(False, error.happened, error.remedy)
        finally:
            engine.close()
        return Availability(True, f"Docker {version} answers")

    def tensorflow(self) -> Availability:
        """It runs where the engine's machine is x86-64 with AVX.

        Raises:
            EngineNotInstalled, EngineNotRunning, EngineForbidden: the engine is not usable.
        """
        engine = open_engine()
        try:
            return tensorflow_on(engine)
        finally:
            engine.close()

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Find the stages' images. Nothing is built or pulled.

        Raises:
            EngineNotInstalled, EngineNotRunning, EngineForbidden: the engine is not usable.
            FeatureUnavailable: a memory limit was asked for, which this engine cannot keep.
            ImageMissing: an image has not been built from the present sources.
            ImageUnusable: a stage does not start in the user's own image.
        """
        engine = open_engine()
        try:
            information = engine.info()
            check_memory_limit(self._options.memory_limit_bytes, information)
            self._rootless = "name=rootless" in information.get("SecurityOptions", [])
            self._version = str(information["ServerVersion"])
            self._is_podman = engine.podman() is not None
            gpu = wants_gpu(self._options.device, information)
            found = find_stage_images(engine, stages, self._options, gpu, notify)
        finally:
            engine.close()
        self._images |= found.images
        self._gpu = found.gpu
        check_own_images(stages, self._options, self.start, notify)

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        """Name and digest of the image that the stage runs in."""
        reference, details = self._images[home or stage]
        return {"runtime": self.name, "image": reference, "digest": details.image_id}

    def home_record(self, home: Stage) -> dict[str, Any]:
        """What the manifest tells of a stage's image."""
        engine = "Podman" if self._is_podman else "Docker"
        return image_record(home, *self._images[home], f"{engine} {self._version}")

    def start(self, spec: StageSpec, on_text: Notify) -> StageProcess:
        """Create, attach to and start a container; nothing that it says is lost.

        Raises:
            FeatureUnavailable: Podman's socket cannot be told a mount's path.
            EngineNotRunning, EngineRefused: the engine does not do it.
        """
        if self._is_podman:
            check_paths_for_socket(spec.mounts)
        return ContainerProcess(open_engine(), spec, self._arguments(spec), on_text)

    def run_script(
        self, spec: StageSpec, command: Sequence[str], on_text: Notify, on_line: Notify
    ) -> ExitStatus:
        """Run a Python script in a stage's image, as isolated as the stage.

        Args:
            spec: what the script may see. `prepare` was called for its stage.
            command: path of the script inside the container, and its arguments.
            on_text: takes each line of stderr, from a thread.
            on_line: takes each line of stdout.
        """
        arguments = {**self._arguments(spec), "entrypoint": [INTERPRETER, *command]}
        with ContainerProcess(open_engine(), spec, arguments, on_text) as process:
            process.close_input()
            for line in process.lines():
                on_line(line.decode("utf-8", errors="replace"))
            return process.wait()

    def _arguments(self, spec: StageSpec) -> dict[str, Any]:
        run_id = spec.run_id or self._run_id
        labels = {RUN_LABEL: run_id, STAGE_LABEL: spec.stage, **Owner.current().labels()}
        return container_arguments(
            spec,
            image_id=self._images[spec.home or spec.stage][1].image_id,
            name=container_name(spec.stage, run_id, secrets.token_hex(2)),
            caller=Caller.current(self._rootless),
            labels=labels,
            gpu=self._gpu and spec.stage == "load",
        )

    def reap(self) -> None:
        """Remove containers whose orchestrator is gone."""
        engine = open_engine()
        observer = Owner.current()
        try:
            for container in engine.list_containers(RUN_LABEL):
                if is_leftover(container.labels, container.running, observer, start_time):
                    engine.remove_container(container.container_id)
        finally:
            engine.close()


def tensorflow_on(engine: Engine) -> Availability:
    """Whether containers of an engine can run TensorFlow.

    Raises:
        EngineNotRunning, EngineRefused: the engine does not tell.
    """
    machine = str(engine.info()["Architecture"])
    # Of an engine that is reached by network only the architecture is known.
    missing = why_no_tensorflow(machine, read_cpu_flags() if engine.is_here else None)
    return Availability(missing is None, missing or f"containers run on {machine}")


def check_paths_for_socket(mounts: Sequence[Mount]) -> None:
    """Refuse paths that Podman's Docker-compatible interface misreads.

    It makes a line of CSV of a mount, and does not quote what is in it (4.3.1,
    `cmd/podman/common/create_opts.go`).

    Raises:
        FeatureUnavailable: there is one.
    """
    for mount in mounts:
        if any(character in str(mount.source) for character in ',"\r\n'):
            raise FeatureUnavailable(
                f"The path {str(mount.source)!r} cannot be told to Podman through its socket.",
                "A path without commas, double quotes and line ends was expected there.",
                "Pass `--runtime podman`, which speaks to it by its command line.",
            )


def check_memory_limit(limit_bytes: int | None, information: Mapping[str, Any]) -> None:
    """Refuse a memory limit that the engine would silently ignore.

    Raises:
        FeatureUnavailable: this engine sets no memory limits.
    """
    if limit_bytes is not None and not information.get("MemoryLimit", True):
        raise FeatureUnavailable(
            f"A memory limit of {limit_bytes} bytes was asked for, and this engine sets none.",
            "A kernel and an engine with memory control groups were expected.",
            "Leave `--memory-limit` out, or use an engine that runs as root or on cgroup v2.",
        )


def wants_gpu(device: str, information: Mapping[str, Any]) -> bool:
    """Whether the load stage gets the machine's graphics cards.

    Args:
        device: as given to `--device`.
        information: what the engine says of itself.
    """
    if device == "auto":
        return "nvidia" in information.get("Runtimes", {})
    return device.startswith("cuda")
