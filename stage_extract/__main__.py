"""`python -m stage_extract`: job lines come on stdin, event lines go to stdout (see `protocol`).

Exits with 0 at the end of the input.
"""

from __future__ import annotations

import io
import os
import platform
import signal
import sys
import time
import warnings

from stage_extract.protocol import STAGE, EventStream, claim_standard_output

# Errors only: TensorFlow's notes on its build and on the processor help nobody here.
_TENSORFLOW_LOG_LEVEL = "2"


def _announce(stream: EventStream) -> None:
    """Import TensorFlow, the long part of the start, and say that jobs may come."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TENSORFLOW_LOG_LEVEL)
    start_s = time.perf_counter()
    with warnings.catch_warnings():
        # TensorFlow 1.15's own use of NumPy's old type names, a dozen lines at each start.
        warnings.simplefilter("ignore", FutureWarning)
        import numpy
        import tensorflow
    tensorflow.compat.v1.logging.set_verbosity(tensorflow.compat.v1.logging.ERROR)
    stream.write(
        "ready",
        stage=STAGE,
        versions={
            "python": platform.python_version(),
            "tensorflow": tensorflow.__version__,
            "numpy": numpy.__version__,
        },
        import_s=round(time.perf_counter() - start_s, 3),
    )


def main() -> None:
    """Serve jobs until the input ends."""
    # The host ends its workers itself; a traceback for each Ctrl-C would only hide its message.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stream = claim_standard_output()
    _announce(stream)
    # Both import TensorFlow; they come after the event that measures that.
    from stage_extract.export import run_job
    from stage_extract.worker import serve

    serve(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"), stream, run_job)


if __name__ == "__main__":
    main()
