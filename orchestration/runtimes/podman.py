"""The stages as containers, through Podman's own command line; as root or as an ordinary user."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestration.errors import EngineNotInstalled, EngineRefused, FeatureUnavailable
from orchestration.image_store import ImageDetails
from orchestration.podman_additions import additions
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.podman_facts import PodmanFacts
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.base import Availability, Notify, Stage, StageProcess, StageSpec
from orchestration.runtimes.container_images import (
    check_own_images,
    find_stage_images,
    image_record,
)
from orchestration.runtimes.containers import Caller, container_name
from orchestration.runtimes.ownership import (
    RUN_LABEL,
    STAGE_LABEL,
    Owner,
    is_leftover,
    start_time,
)
from orchestration.runtimes.podman_arguments import podman_arguments
from orchestration.runtimes.podman_process import PodmanProcess
from orchestration.settings import RuntimeOptions

# Where the description of graphics cards for containers lies: CDI specification, "Location".
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
SUBORDINATE_IDS = (
    "Ask those who run the machine for `usermod --add-subuids 100000-165535 --add-subgids"
    " 100000-165535 USER`, then run `podman system migrate`."
)


class PodmanRuntime:
    """Each stage in a container of its own image.

    Args:
        options: how the stages are to be run.
        environment: the caller's, from which Podman gets what it needs.
    """

    name = "podman"

    def __init__(self, options: RuntimeOptions, environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._images: dict[Stage, tuple[str, ImageDetails]] = {}
        self._gpu = False
        self._facts: PodmanFacts | None = None
        # For specs that name no run: one runtime serves one run.
        self._run_id = secrets.token_hex(4)

    def availability(self) -> Availability:
        """Usable when Podman works. Whether the images are there is for `prepare` to say."""
        try:
            facts = PodmanCommand(self._environment).facts()
        except (EngineNotInstalled, EngineRefused) as error:
            return Availability(False, error.happened, error.remedy)
        return why_unusable(facts) or Availability(True, facts.title)

    def tensorflow(self) -> Availability:
        """It runs where this machine is x86-64 with AVX.

        Raises:
            EngineNotInstalled, EngineRefused: Podman is not usable.
        """
        machine = PodmanCommand(self._environment).facts().machine
        missing = why_no_tensorflow(machine, read_cpu_flags())
        return Availability(missing is None, missing or f"containers run on {machine}")

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Find the stages' images. Nothing is built or pulled.

        Raises:
            EngineNotInstalled, EngineRefused: Podman is not usable.
            FeatureUnavailable: a memory limit was asked for, which this Podman cannot keep.
            ImageMissing: an image has not been built from the present sources.
            ImageUnusable: a stage does not start in the user's own image.
        """
        command = PodmanCommand(self._environment)
        facts = command.facts()
        check_limits(facts, self._options.memory_limit_bytes, notify)
        for addition in additions(command.environment):
            notify(f"Podman puts into every container, the stages' too, what is in {addition}")
        gpu = wants_gpu(self._options.device)
        found = find_stage_images(PodmanEngine(command), stages, self._options, gpu, notify)
        self._images |= found.images
        self._gpu, self._facts = found.gpu, facts
        check_own_images(stages, self._options, self.start, notify)

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        """Name and digest of the image that the stage runs in."""
        reference, details = self._images[home or stage]
        return {"runtime": self.name, "image": reference, "digest": details.image_id}

    def home_record(self, home: Stage) -> dict[str, Any]:
        """What the manifest tells of a stage's image."""
        assert self._facts is not None, "prepare() comes first"
        return image_record(home, *self._images[home], f"Podman {self._facts.version}")

    def start(self, spec: StageSpec, on_text: Notify, program: Sequence[str] = ()) -> StageProcess:
        """Start a container. Returns at once; `wait` tells whether Podman refused.

        Args:
            spec: what to run.
            on_text: takes each line of stderr, from a thread.
            program: runs in place of the stage.
        """
        assert self._facts is not None, "prepare() comes first"
        command, facts = PodmanCommand(self._environment), self._facts
        run_id = spec.run_id or self._run_id
        name = container_name(spec.stage, run_id, secrets.token_hex(2))

        def arguments(pid_file: Path) -> list[str]:
            return podman_arguments(
                spec,
                image_id=self._images[spec.home or spec.stage][1].image_id,
                name=name,
                caller=Caller.current(rootless_engine=False),
                labels={RUN_LABEL: run_id, STAGE_LABEL: spec.stage, **Owner.current().labels()},
                podman=facts,
                has_init=command.has_init(),
                gpu=self._gpu and spec.stage == "load",
                pid_file=pid_file,
                command=program,
            )

        return PodmanProcess(command, arguments, name, spec, on_text)

    def reap(self) -> None:
        """Remove containers whose orchestrator is gone."""
        engine, observer = PodmanEngine(PodmanCommand(self._environment)), Owner.current()
        for container in engine.list_containers(RUN_LABEL):
            if is_leftover(container.labels, container.running, observer, start_time):
                engine.remove_container(container.container_id)


def why_unusable(facts: PodmanFacts) -> Availability | None:
    """What keeps this Podman from running a container as its caller, or None."""
    if facts.is_rootless and facts.mapped_ids == 1:
        user = os.environ.get("USER", "you")
        return Availability(
            False, f"{facts.title}, and {user} has no subordinate ids", SUBORDINATE_IDS
        )
    return None


def check_limits(facts: PodmanFacts, memory_limit_bytes: int | None, notify: Notify) -> None:
    """Refuse a memory limit that Podman would silently drop, and say what else it drops.

    Raises:
        FeatureUnavailable: this Podman sets no memory limits.
    """
    if memory_limit_bytes is not None and "memory" not in facts.limits:
        raise FeatureUnavailable(
            f"A memory limit of {memory_limit_bytes} bytes was asked for, and {facts.title} on"
            f" control groups {facts.cgroup_version} sets none.",
            "Podman as root, or control groups v2 that are delegated to the user, were expected.",
            "Leave `--memory-limit` out: a batch system's own limit of the job holds all the same.",
        )
    if "pids" not in facts.limits:
        notify(f"{facts.title} sets no limit on the number of processes here")


def wants_gpu(device: str, cdi_folders: Sequence[Path] = CDI_FOLDERS) -> bool:
    """Whether the load stage gets the machine's graphics cards.

    Args:
        device: as given to `--device`.
        cdi_folders: where cards are described for containers.
    """
    if device == "auto":
        files = (path for folder in cdi_folders if folder.is_dir() for path in folder.iterdir())
        return any("nvidia" in path.name for path in files)
    return device.startswith("cuda")
