"""What every runtime offers: turn one frozen `StageSpec` into one running stage process.

The pipeline sees only these protocols; `local` and `docker` implement them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Stage = Literal["extract", "load"]
Event = dict[str, Any]
Notify = Callable[[str], None]
"""Takes one line for people about work that takes long, such as an environment being made."""


@dataclass(frozen=True)
class Mount:
    """One host folder (or file) that a stage may see.

    Attributes:
        source: absolute host path, without symbolic links.
        target: absolute path inside a container; `local` does not use it.
        read_only: False for the one folder that the stage writes to.
    """

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True)
class StageSpec:
    """Everything a runtime needs to start one stage as a process.

    Attributes:
        stage: which of the two programs.
        mounts: every host path that the stage's jobs will name, none inside another's source unless
            listed after it.
        device: "auto", "cpu" or "cuda[:n]"; `extract` always runs on the CPU.
        memory_limit_bytes: None = no limit.
        environment: variables for the stage, on top of the runtime's own few. Nothing of the
            caller's environment is inherited.
        run_id: names the run, so that leftovers of killed runs can be told from living ones; "" =
            the runtime makes one up.
        keep_open: file descriptors that a child process on this host must inherit (the lock of the
            run's temporary folder).
        imports: the framework that it imports first, for people.
        home: whose environment or image it runs in; None = its own.
        arguments: of the program.
    """

    stage: Stage
    mounts: tuple[Mount, ...]
    device: str = "auto"
    memory_limit_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    keep_open: tuple[int, ...] = ()
    imports: str = ""
    home: Stage | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExitStatus:
    """How a stage process ended.

    Attributes:
        code: exit code as a shell shows it: 128 + signal for a process killed by one.
        signal: number of the signal that killed it, or None.
        out_of_memory: True when it is known that the memory limit or the kernel's OOM killer was
            the cause.
    """

    code: int
    signal: int | None = None
    out_of_memory: bool = False


@dataclass(frozen=True)
class Availability:
    """Whether a runtime works on this machine; if not, why, and the command (or step) that mends
    it.
    """

    ok: bool
    reason: str
    remedy: str | None = None


class StageProcess(Protocol):
    """One running stage.

    Whoever started it calls `kill` at the end, whatever happened: it also cleans up.
    """

    @property
    def argv(self) -> list[str] | dict[str, Any]:
        """What started it, for the record: a command line, or what an engine was sent."""

    def path(self, host_path: Path) -> str:
        """Path under which the stage sees `host_path`, which must lie in one of the mounts."""

    def host_text(self, text: str) -> str:
        """`text` from the stage with the host's paths in place of its own, for people."""

    def send(self, job: Mapping[str, object]) -> None:
        """Write one job line.

        A process that is gone already is no error here: `events` ends and `wait` tells why.
        """

    def events(self) -> Iterator[Event]:
        """Yield event after event, blocking, until the process closes its output. For one reader.

        Raises:
            StageCrashed: a line is not an event.
        """

    def close_input(self) -> None:
        """Tell the stage that no more jobs come; it then exits with 0."""

    def wait(self) -> ExitStatus:
        """Wait for the end of the process."""

    def memory_bytes(self) -> int | None:
        """What the stage's processes hold in memory and cannot give back; None where unknown.

        May be called from any thread, also after its end.
        """

    def kill(self) -> None:
        """End the process and everything it started, now, and free what it held.

        Safe to call twice, and after its end.
        """


class Runtime(Protocol):
    """One way to run stages on this machine."""

    @property
    def name(self) -> str:
        """Name as given to `--runtime`."""

    def availability(self) -> Availability:
        """Check, quickly and without changing anything, whether this runtime can work here."""

    def tensorflow(self) -> Availability:
        """Check, quickly and without changing anything, whether TensorFlow can run here.

        Raises:
            LegacyPythonMissing: the Python that the user names for it does not serve.
            EngineNotInstalled, EngineNotRunning, EngineForbidden: the engine is not usable.
        """

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Make sure that everything `start` needs is there.

        `local` makes missing environments, `docker` builds nothing.

        Raises:
            EngineNotInstalled, EngineNotRunning, EngineForbidden: the engine is not usable.
            ImageMissing: an image has not been built.
            LegacyPythonMissing, EnvironmentBuildFailed: an environment cannot be made.
        """

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        """What exactly runs: image name and digest, or hashes of lock and sources.

        Goes into the manifest and the key of export reuse.

        Args:
            stage: which program.
            home: whose environment or image it runs in; None = its own.
        """

    def home_record(self, home: Stage) -> dict[str, Any]:
        """What the manifest tells of a stage's `image` and `engine`, or of its `environment`.

        Args:
            home: whose image or environment; `prepare` was called for it.
        """

    def start(self, spec: StageSpec, on_text: Notify) -> StageProcess:
        """Start a stage. Returns at once, while the stage still imports its framework.

        Args:
            spec: what to run. `prepare` was called for the stage whose environment it runs in.
            on_text: takes each line of people's text (stderr), possibly from another thread.
        """

    def reap(self) -> None:
        """Remove what killed runs left behind (containers whose run is gone)."""


def encode_job(job: Mapping[str, object]) -> bytes:
    """One job as the line that a stage reads."""
    return json.dumps(job, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
