"""One stage as a child of `apptainer exec`."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from orchestration.runtimes.apptainer_arguments import (
    Apptainer,
    caller_environment,
    exec_arguments,
)
from orchestration.runtimes.apptainer_failures import OWN_CODES, explain_failure
from orchestration.runtimes.apptainer_scratch import Scratch
from orchestration.runtimes.base import ExitStatus, Notify, StageSpec
from orchestration.runtimes.command_process import CommandProcess
from orchestration.runtimes.containers import container_path, host_text, stage_command

_SIGNAL_BASE = 128
_HIGHEST_SIGNAL = 64
_KEPT_LINES = 20
_END_PATIENCE_S = 5.0


class ApptainerProcess(CommandProcess):
    """One stage in a container of its own, with scratch on the caller's disk.

    Args:
        apptainer: the installation.
        spec: what to run.
        image: SIF file.
        environment: the caller's.
        on_text: takes each line of stderr, from a thread.
        command: runs in place of the stage.
    """

    def __init__(
        self,
        apptainer: Apptainer,
        spec: StageSpec,
        image: Path,
        environment: Mapping[str, str],
        on_text: Notify,
        command: Sequence[str] = (),
    ) -> None:
        self._mounts = spec.mounts
        self._image = image
        self._text: deque[str] = deque(maxlen=_KEPT_LINES)
        self._has_spoken = False
        self._scratch = Scratch(environment)

        def keep_text(line: str) -> None:
            self._text.append(line)
            on_text(line)

        try:
            arguments = exec_arguments(
                apptainer,
                spec,
                image=image,
                scratch=self._scratch.work,
                command=command or stage_command(spec),
                cards=environment.get("CUDA_VISIBLE_DEVICES"),
            )
            temporary = str(self._scratch.temporary)
            variables = {**caller_environment(environment), "APPTAINER_TMPDIR": temporary}
            super().__init__(arguments, variables, self._scratch.folder, spec, keep_text)
        except BaseException:
            self._scratch.remove()
            raise

    def path(self, host_path: Path) -> str:
        """Path under which the stage sees `host_path`."""
        return container_path(self._mounts, host_path)

    def host_text(self, text: str) -> str:
        """`text` with the container's paths replaced by the host's."""
        return host_text(self._mounts, text)

    def lines(self, most_bytes: int = -1) -> Iterator[bytes]:
        """Yield line after line of standard output until the process closes it."""
        for line in super().lines(most_bytes):
            self._has_spoken = True
            yield line

    def wait(self) -> ExitStatus:
        """Wait for the end of the stage, or of Apptainer that did not start it.

        Raises:
            FuseUnusable, NamespacesMissing, ScratchTooSmall: the machine lacks what it needs.
            ImageUnusable: the image is damaged, or not made for this.
            FeatureUnavailable: the memory limit cannot be kept here.
            EngineRefused: it did not start the stage for another reason.
        """
        status = super().wait()
        if status.code in OWN_CODES and not self._has_spoken:
            failure = explain_failure(list(self._text), self._image)
            if failure is not None:
                raise failure
        # Apptainer tells a payload's signal as a shell does.
        number = status.code - _SIGNAL_BASE
        if status.signal is None and 0 < number <= _HIGHEST_SIGNAL:
            return ExitStatus(status.code, number, self._was_out_of_memory(number))
        return status

    def _before_kill(self) -> None:
        """Let Apptainer end by itself: killed, an ordinary user's leaves its squashfuse behind."""
        if self._process.poll() is None:
            # Handed on to the stage, which is not the container's first process and dies of it.
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_PATIENCE_S)

    def _clean_up(self) -> None:
        self._scratch.remove()
