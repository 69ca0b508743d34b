"""One stage in a container of Podman's."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from orchestration.errors import FeatureUnavailable
from orchestration.podman_command import PodmanCommand, refusal
from orchestration.podman_engine import PodmanEngine
from orchestration.runtimes.base import ExitStatus, Notify, StageSpec
from orchestration.runtimes.command_process import CommandProcess
from orchestration.runtimes.container_process import exit_status
from orchestration.runtimes.containers import container_path, host_text
from orchestration.runtimes.podman_arguments import GPU_DEVICE
from orchestration.runtimes.process_memory import tree_memory_bytes

# conmon makes this file where Podman was started when the kernel kills for want of memory; Podman
# 4.3 looks for it elsewhere, and says of every container that it had enough.
_OOM_FILE = "oom"
_PID_FILE = "pid"
_KEPT_LINES = 20


class PodmanProcess(CommandProcess):
    """One stage as a child of `podman run`, in a scratch folder of its own.

    Args:
        command: the program.
        arguments: takes the path of a file for the container's process number; returns the
            arguments of `podman`.
        name: of the container.
        spec: what it runs.
        on_text: takes each line of stderr, from a thread.
    """

    def __init__(
        self,
        command: PodmanCommand,
        arguments: Callable[[Path], list[str]],
        name: str,
        spec: StageSpec,
        on_text: Notify,
    ) -> None:
        self._engine = PodmanEngine(command)
        self._name = name
        self._mounts = spec.mounts
        self._status: ExitStatus | None = None
        self._text: deque[str] = deque(maxlen=_KEPT_LINES)
        self._scratch = Path(tempfile.mkdtemp(prefix="tf1-to-torch-podman-"))

        def keep_text(line: str) -> None:
            self._text.append(line)
            on_text(line)

        try:
            argv = command.argv(*arguments(self._scratch / _PID_FILE))
            super().__init__(argv, command.environment, self._scratch, spec, keep_text)
        except BaseException:
            shutil.rmtree(self._scratch)
            raise

    def path(self, host_path: Path) -> str:
        """Path under which the stage sees `host_path`."""
        return container_path(self._mounts, host_path)

    def host_text(self, text: str) -> str:
        """`text` with the container's paths replaced by the host's."""
        return host_text(self._mounts, text)

    def wait(self) -> ExitStatus:
        """Wait for the end of the container, and ask why it ended.

        Raises:
            EngineRefused: Podman did not start it.
            FeatureUnavailable: it has no GPU to give.
        """
        if self._status is None:
            self._status = self._explained(super().wait())
        return self._status

    def memory_bytes(self) -> int | None:
        """Memory of the container's processes, which are no children of Podman's."""
        if self._ended or self._process.poll() is not None:
            return None
        try:
            text = (self._scratch / _PID_FILE).read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        return tree_memory_bytes(int(text)) if text else None

    def _explained(self, status: ExitStatus) -> ExitStatus:
        """Of a container that did not end well: its own end, told from Podman's.

        Podman ends with 125, 126 and 127 of its own, and so may a stage.
        """
        if status.code == 0 or self._ended or status.signal is not None:
            return status
        state = self._engine.container_state(self._name)
        if state is None or state["Status"] in ("created", "configured", "initialized"):
            raise _not_started("\n".join(self._text))
        out_of_memory = state["OOMKilled"] or (self._scratch / _OOM_FILE).exists()
        return exit_status(status.code, bool(out_of_memory))

    def _clean_up(self) -> None:
        """Podman's own end does not end the container."""
        try:
            self._engine.remove_container(self._name)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _not_started(text: str) -> Exception:
    if GPU_DEVICE not in text:
        return refusal(text)
    return FeatureUnavailable(
        f"A GPU was asked for, and Podman has none to give: {text.strip()}",
        "A description of the cards for containers (CDI) was expected.",
        "Install the NVIDIA container toolkit and run `sudo nvidia-ctk cdi generate"
        " --output=/etc/cdi/nvidia.yaml`, or pass `--device cpu`.",
    )
