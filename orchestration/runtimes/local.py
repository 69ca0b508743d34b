"""The stages as plain processes of this machine, in environments that uv makes.

No container engine needed.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from orchestration.environments import (
    existing_python,
    make_environment,
    recipe_of,
)
from orchestration.errors import FeatureUnavailable, OrchestrationError
from orchestration.event_check import MOST_LINE_BYTES, decode_event, line_too_long
from orchestration.interpreters import find_legacy_python, find_uv
from orchestration.load_python import check_load_python
from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import (
    Availability,
    Event,
    ExitStatus,
    Notify,
    Stage,
    StageProcess,
    StageSpec,
    encode_job,
)
from orchestration.settings import RuntimeOptions

# What of the caller's environment a stage needs to find libraries, threads and cards.
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "USER",
    "LOGNAME",
)
_OOM_COUNTER = "oom_kill "
_SOURCE_SUFFIXES = frozenset({".py", ".json", ".html", ".css", ".js"})
# A process that left the session keeps the pipe open; nobody waits for its text.
_TEXT_PATIENCE_S = 1.0
# A longer line of people's text is shown in pieces.
_MOST_TEXT_BYTES = 1 << 16


class LocalRuntime:
    """Both stages as subprocesses, each in its own environment.

    Args:
        options: how the stages are to be run.
        environment: the caller's, from which a few variables are handed on.
    """

    name = "local"

    def __init__(self, options: RuntimeOptions, environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._pythons: dict[Stage, Path] = {}
        self._load_packages: dict[str, str] = {}

    def availability(self) -> Availability:
        """Usable when both environments exist, or can be made."""
        try:
            missing = [stage for stage in self._stages() if self._made_python(stage) is None]
            if not missing:
                return Availability(True, "both environments are ready")
            find_uv(self._environment)
            if "extract" in missing:
                python = find_legacy_python(
                    self._options.legacy_python, self._environment, Path.home()
                )
                return Availability(True, f"Python 3.7 at {python.path} ({python.found_in})")
            return Availability(True, "uv makes the missing environment on first use")
        except OrchestrationError as error:
            return Availability(False, error.happened, error.remedy)

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        """Find or make the environments of `stages`.

        Raises:
            FeatureUnavailable: a memory limit was asked for.
            LegacyPythonMissing: there is no CPython 3.7.
            EnvironmentBuildFailed: an environment cannot be made, or lacks something.
        """
        if self._options.memory_limit_bytes is not None:
            raise FeatureUnavailable(
                "--memory-limit was given, and the stages are to run as plain processes.",
                "Only a container engine can hold a stage to a memory limit.",
                "Use --runtime docker, or leave the option out.",
            )
        for stage in stages:
            self._pythons[stage] = self._python(stage, notify)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """Hashes of the stage's sources and of its lock, or the user's own environment."""
        identity: dict[str, Any] = {
            "runtime": self.name,
            "sources_sha256": sources_sha256(repository_folder() / f"stage_{stage}"),
        }
        if stage == "load" and self._options.load_python is not None:
            return {**identity, "packages": self._load_packages}
        recipe = recipe_of(stage, self._options)
        identity |= {"lock": recipe.lock.name, "lock_sha256": recipe.lock_sha256()}
        own = recipe.requirements_sha256()
        return identity if own is None else {**identity, "requirements_sha256": own}

    def start(self, spec: StageSpec, on_text: Notify) -> StageProcess:
        """Start a stage in a session of its own, with a clean environment."""
        return LocalProcess(self._pythons[spec.stage], spec, self._environment, on_text)

    def reap(self) -> None:
        """Nothing to do: a stage ends by itself when its orchestrator is gone."""

    def _stages(self) -> tuple[Stage, ...]:
        return ("extract",) if self._options.load_python is not None else ("extract", "load")

    def _made_python(self, stage: Stage) -> Path | None:
        recipe = recipe_of(stage, self._options)
        return existing_python(recipe, self._options, self._environment)

    def _python(self, stage: Stage, notify: Notify) -> Path:
        if stage == "load" and self._options.load_python is not None:
            path = self._options.load_python
            self._load_packages = check_load_python(path)
            notify(f"Stage 2 runs in {path}, with torch {self._load_packages['torch']}")
            return path
        made = self._made_python(stage)
        if made is not None:
            return made
        recipe = recipe_of(stage, self._options)
        return make_environment(recipe, self._options, self._environment, notify)


class LocalProcess:
    """One stage as a subprocess.

    Args:
        python: interpreter of the stage's environment.
        spec: what to run.
        environment: the caller's.
        on_text: takes each line of stderr, from a thread.
    """

    def __init__(
        self, python: Path, spec: StageSpec, environment: Mapping[str, str], on_text: Notify
    ) -> None:
        self._home = tempfile.TemporaryDirectory(prefix=f"tf1-to-torch-{spec.stage}-")
        self._oom_kills = _count_oom_kills()
        try:
            self._process = subprocess.Popen(
                [os.fspath(python), "-s", "-m", f"stage_{spec.stage}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._home.name,
                env=stage_environment(spec, environment, self._home.name),
                pass_fds=spec.keep_open,
                start_new_session=True,
            )
        except BaseException:
            self._home.cleanup()
            raise
        self._has_reader = False
        self._ended = False
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=_forward_lines, args=(self._process.stderr, on_text), daemon=True
        )
        self._reader.start()

    def path(self, host_path: Path) -> str:
        """The host's own path: a plain process sees what the host sees."""
        return os.fspath(host_path)

    def host_text(self, text: str) -> str:
        """The text as it is."""
        return text

    def send(self, job: Mapping[str, object]) -> None:
        """Write one job line."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(encode_job(job))
            self._process.stdin.flush()

    def events(self) -> Iterator[Event]:
        """Yield events until the process closes its output.

        Raises:
            StageCrashed: a line is not an event.
        """
        assert self._process.stdout is not None
        self._has_reader = True
        with self._process.stdout as stream:
            while line := stream.readline(MOST_LINE_BYTES + 1):
                if len(line) > MOST_LINE_BYTES:
                    raise line_too_long(MOST_LINE_BYTES)
                yield decode_event(line)

    def close_input(self) -> None:
        """Tell the stage that no more jobs come."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self) -> ExitStatus:
        """Wait for the end of the process and of its text."""
        code = self._process.wait()
        self._reader.join(_TEXT_PATIENCE_S)
        if code >= 0:
            return ExitStatus(code)
        killed_for_memory = -code == signal.SIGKILL and _count_oom_kills() > self._oom_kills
        return ExitStatus(128 - code, signal=-code, out_of_memory=killed_for_memory)

    def kill(self) -> None:
        """Kill the stage's whole session and remove its scratch folder."""
        if self._ended:
            return
        self.close_input()
        # The group outlives its leader while one of its processes lives, and only then exists.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # From now on its number may be another process's.
        self._ended = True
        # A reader closes the stream itself: closing it under its feet would wait for it.
        if not self._has_reader and self._process.stdout is not None:
            self._process.stdout.close()
        self._reader.join(_TEXT_PATIENCE_S)
        self._home.cleanup()


def stage_environment(spec: StageSpec, environment: Mapping[str, str], home: str) -> dict[str, str]:
    """Variables of a stage: a few of the caller's, scratch in place of HOME, and the spec's own."""
    variables = {name: environment[name] for name in _INHERITED if name in environment}
    variables.update(
        {
            "HOME": home,
            "TMPDIR": home,
            "PYTHONPATH": os.fspath(repository_folder()),
            "PYTHONUTF8": "1",
        }
    )
    variables.update(spec.environment)
    return variables


def sources_sha256(folder: Path) -> str:
    """Hash over names and contents of a stage's files, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SOURCE_SUFFIXES and path.is_file():
            name = path.relative_to(folder).as_posix().encode()
            content = path.read_bytes()
            digest.update(b"%d %s %d " % (len(name), name, len(content)))
            digest.update(content)
    return digest.hexdigest()


def _forward_lines(stream: IO[bytes], on_text: Notify) -> None:
    with stream:
        while line := stream.readline(_MOST_TEXT_BYTES):
            on_text(line.decode(errors="replace").rstrip("\n"))


def _count_oom_kills() -> int:
    """How often this kernel's OOM killer struck since boot; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(_OOM_COUNTER))
