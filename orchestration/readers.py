"""Which code reads a checkpoint: TensorFlow's own, the one without TensorFlow, or both."""

from __future__ import annotations

from dataclasses import replace

from orchestration.runtimes.base import Notify, Runtime, Stage
from orchestration.settings import ExtractOptions, Reader


def with_chosen_reader(options: ExtractOptions, runtime: Runtime, notify: Notify) -> ExtractOptions:
    """The options with "auto" replaced by the reader that works here; which and why is said.

    Raises:
        LegacyPythonMissing: the Python that the user names for TensorFlow does not serve.
    """
    if options.reader != "auto":
        return options
    tensorflow = runtime.tensorflow()
    reason = tensorflow.reason.rstrip(".")
    if tensorflow.ok:
        notify(f"Reader: tf ({reason})")
        return replace(options, reader="tf")
    notify(f"Reader: pure ({reason}), so nothing is run as a reference")
    return replace(options, reader="pure")


def home_of_stage_1(reader: Reader) -> Stage:
    """Whose environment or image stage 1 runs in: its own has TensorFlow, stage 2's has numpy."""
    return "load" if reader == "pure" else "extract"
