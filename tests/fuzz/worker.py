"""One process that tries damaged inputs until it is ended; CPython 3.7 too.

    python -m tests.fuzz.worker GROUP SAMPLES SCRATCH FINDINGS FIRST

Says on stdout, a JSON object a line, which input it begins and how that ended. Input NUMBER is
always the same: the number alone chooses the target and the damage. A crash or an endless loop ends
this process; `run` sees that, keeps the input, and starts another one with the next number.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Mapping

from tests.fuzz.target import INPUT, OUT, Finding, Target

RUN = "run"
"""Folder below SCRATCH of the input that is tried."""

MOST_S = 10.0
_MB = 1 << 20
# More address space than after the undamaged inputs. TensorFlow maps 64 MB for each new thread.
_MORE_BYTES = {"TensorFlow": 2048 * _MB, "pure": 256 * _MB, "stage 2": 512 * _MB}

Maker = Callable[[str], Target]


def _extraction(samples: str, group: str) -> Dict[str, Maker]:
    from tests.fuzz.target_extract import ExtractTarget

    return {
        f"{group}: {name}": lambda scratch, name=name: ExtractTarget(os.path.join(samples, name))
        for name in sorted(os.listdir(samples))
    }


def _stage_2() -> Dict[str, Maker]:
    from tests.fuzz.target_handoff import HandoffTarget
    from tests.fuzz.target_load import ExportTarget, MappingTarget, ResultTarget

    return {
        "host: export": lambda scratch: HandoffTarget(ExportTarget(scratch)),
        "stage 2: export": ExportTarget,
        "stage 2: mapping.csv": MappingTarget,
        "stage 2: result": ResultTarget,
    }


def make_targets(group: str, samples: str, scratch: str) -> Mapping[str, Target]:
    """The targets of a group, ready."""
    if group == "pure":
        from stage_extract.reader_choice import choose_reader

        choose_reader("pure")
    makers = _stage_2() if group == "stage 2" else _extraction(samples, group)
    return {name: make(scratch) for name, make in sorted(makers.items())}


def limit_memory(more_bytes: int) -> None:
    """Refuse this process more than it has now and so much besides."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def fresh_folder(scratch: str) -> str:
    """The emptied folder of one run."""
    folder = os.path.join(scratch, RUN)
    shutil.rmtree(folder, ignore_errors=True)
    for name in (INPUT, OUT):
        os.makedirs(os.path.join(folder, name))
    return folder


def timed(run: Callable[[], str]) -> Dict[str, Any]:
    """How a run ended: its "outcome", or the "finding".

    Time is that of the processor: others may compute on the same machine.
    """
    started_s = time.process_time()
    try:
        outcome = run()
    except Finding as finding:
        return {"finding": str(finding)}
    except BaseException:  # noqa: BLE001 - whatever it is, it should have been a refusal
        return {"finding": traceback.format_exc()}
    took_s = time.process_time() - started_s
    if took_s > MOST_S:
        return {"finding": f"{outcome} after computing for {took_s:.1f} s"}
    return {"outcome": outcome}


def try_input(target: Target, name: str, number: int, scratch: str) -> Dict[str, Any]:
    """Make input NUMBER of a target, run it, and say how it ended."""
    folder = fresh_folder(scratch)
    target.prepare(random.Random(f"{name}/{number}"), folder)
    return timed(lambda: target.run(folder))


class Voice:
    """Stdout, which is taken away from everybody else: what libraries print is no line of ours."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def say(self, **values: Any) -> None:
        """Say one thing."""
        self._stream.write(json.dumps(values) + "\n")


def main(arguments: List[str]) -> None:
    """Command line."""
    group, samples, scratch, findings, first = arguments
    voice = Voice()
    targets = make_targets(group, samples, scratch)
    names = list(targets)
    limit_memory(_MORE_BYTES[group])
    number = int(first)
    while True:
        name = names[number % len(names)]
        voice.say(begin=number, target=name)
        ended = try_input(targets[name], name, number, scratch)
        if "finding" in ended:
            kept = os.path.join(findings, f"{name} {number}".replace("/", "_"))
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(os.path.join(scratch, RUN), kept, symlinks=True)
        voice.say(end=number, target=name, **ended)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1:])
