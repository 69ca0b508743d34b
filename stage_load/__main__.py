"""The load stage as a process: ``python -m stage_load`` reads job lines, writes event lines."""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Claim the standard output, import torch, then work until the input ends."""
    from stage_load.protocol import claim_standard_output

    # Before torch is imported: what it prints must not get between the events.
    stream = claim_standard_output()
    begin_s = time.perf_counter()
    from stage_load.memory import collect_seldom
    from stage_load.worker import announce, serve

    collect_seldom()
    announce(stream, time.perf_counter() - begin_s)
    serve(sys.stdin, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
