"""The load stage as a process: ``python -m stage_load`` reads job lines, writes event lines."""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Claim the standard streams, import torch, then work until the input ends."""
    from stage_load.job_lines import read_lines
    from stage_load.protocol import claim_standard_input, claim_standard_output
    from stage_load.threads import settle_libraries, settle_torch

    # Before torch is imported: what it prints must not get between the events.
    stream, jobs = claim_standard_output(), claim_standard_input()
    begin_s = time.perf_counter()
    settle_libraries()
    from stage_load.memory import collect_seldom
    from stage_load.worker import announce, serve

    settle_torch()
    collect_seldom()
    announce(stream, time.perf_counter() - begin_s)
    serve(read_lines(jobs), stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
