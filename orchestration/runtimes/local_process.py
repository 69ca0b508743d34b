"""One stage as a plain process of this machine."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import Notify, StageSpec
from orchestration.runtimes.command_process import CommandProcess

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


class LocalProcess(CommandProcess):
    """One stage as a subprocess, with a scratch folder for its home.

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
        try:
            super().__init__(
                [*_interpreter(python), "-m", f"stage_{spec.stage}", *spec.arguments],
                stage_environment(spec, environment, self._home.name),
                Path(self._home.name),
                spec,
                on_text,
            )
        except BaseException:
            self._home.cleanup()
            raise

    def _clean_up(self) -> None:
        self._home.cleanup()


def _interpreter(python: Path) -> list[str]:
    """Without packages of the user's, and with byte code only where this process leaves it, too."""
    return [os.fspath(python), "-s", *(["-B"] if sys.dont_write_bytecode else [])]


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
