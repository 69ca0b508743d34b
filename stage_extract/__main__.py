"""`python -m stage_extract`: job lines come on stdin, event lines go to stdout (see `protocol`).

Exits with 0 at the end of the input. `--reader pure` never imports TensorFlow; `tf`, which is the
rule, needs it.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
import warnings
from typing import Sequence

from stage_extract.memory import share_free_memory
from stage_extract.protocol import STAGE, EventStream, claim_standard_output
from stage_extract.reader_choice import READERS, choose_reader, is_pure, tensorflow_version

# Errors only: TensorFlow's notes on its build and on the processor help nobody here.
_TENSORFLOW_LOG_LEVEL = "2"


def _choose_reader(arguments: Sequence[str]) -> None:
    """Choose the reader of this process from its arguments; without any it stays as it is."""
    parser = argparse.ArgumentParser(prog="python -m stage_extract", description=__doc__)
    parser.add_argument("--reader", choices=READERS, help="read by TensorFlow, or without it")
    reader = parser.parse_args(arguments).reader
    if reader is not None:
        choose_reader(reader)


def _import_libraries() -> None:
    """Import TensorFlow, the long part of the start, if this process works with it."""
    if is_pure():
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TENSORFLOW_LOG_LEVEL)
    with warnings.catch_warnings():
        # TensorFlow 1.15's own use of NumPy's old type names, a dozen lines at each start.
        warnings.simplefilter("ignore", FutureWarning)
        import tensorflow
    tensorflow.compat.v1.logging.set_verbosity(tensorflow.compat.v1.logging.ERROR)
    from stage_extract.reference.determinism import settle_process

    settle_process()


def _announce(stream: EventStream) -> None:
    """Import what all jobs need and say that they may come."""
    start_s = time.perf_counter()
    _import_libraries()
    import numpy

    versions = {"python": platform.python_version(), "numpy": numpy.__version__}
    tensorflow = tensorflow_version()
    if tensorflow is not None:
        versions["tensorflow"] = tensorflow
    stream.write(
        "ready",
        stage=STAGE,
        versions=versions,
        import_s=round(time.perf_counter() - start_s, 3),
    )


def main() -> None:
    """Serve jobs until the input ends."""
    # The host ends its workers itself; a traceback for each Ctrl-C would only hide its message.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    share_free_memory()
    _choose_reader(sys.argv[1:])
    stream = claim_standard_output()
    _announce(stream)
    # Both are bound to the reader that was chosen.
    from stage_extract.export import run_job
    from stage_extract.job_lines import read_lines
    from stage_extract.worker import serve

    serve(read_lines(sys.stdin.buffer), stream, run_job)


if __name__ == "__main__":
    main()
