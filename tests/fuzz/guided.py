"""Inputs that coverage or structure leads to, for the reader that works without TensorFlow.

    python -m tests.fuzz.guided GROUP SAMPLES SCRATCH FINDINGS FIRST

Speaks as `worker` does. "coverage": atheris changes bytes, and keeps what reaches new lines.
"structure": Hypothesis writes whole tables, messages, text and Snappy streams that are right in
form and lie in content. Runs in an environment of its own, made from tests/requirements-fuzz.txt.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

from stage_extract.reader_choice import PURE, choose_reader
from tests.fuzz.target import INPUT
from tests.fuzz.worker import RUN, Voice, fresh_folder, limit_memory, timed

_MORE_BYTES = 256 << 20
_MOST_LENGTH = 1 << 16


class Trial:
    """Runs one input after the other, and says how each ended.

    Args:
        voice: where it is said.
        scratch: folder of the input that is tried.
        findings: folder for those that break the property.
        first: number of the first input.
    """

    def __init__(self, voice: Voice, scratch: str, findings: str, first: int) -> None:
        self._voice = voice
        self._scratch = scratch
        self._findings = findings
        self.number = first

    def run(self, target: str, files: Mapping[str, bytes], action: Callable[[str], str]) -> None:
        """Write files into a fresh folder and do something with it."""
        self._voice.say(begin=self.number, target=target)
        folder = fresh_folder(self._scratch)
        for name, data in files.items():
            with open(os.path.join(folder, INPUT, name), "wb") as file:
                file.write(data)
        # Anew for each: what Hypothesis remembers is no memory of the reader.
        limit_memory(_MORE_BYTES)
        ended = timed(lambda: action(folder))
        if "finding" in ended:
            kept = os.path.join(self._findings, f"{target} {self.number}")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(os.path.join(self._scratch, RUN), kept)
        self._voice.say(end=self.number, target=target, **ended)
        self.number += 1


def by_coverage(trial: Trial, samples: str) -> None:
    """Let atheris lead: the first byte chooses what reads the rest."""
    import atheris

    with atheris.instrument_imports(include=["stage_extract"]):
        from tests.fuzz.readers import READERS

    names = sorted(READERS)

    def one_input(data: bytes) -> None:
        if data:
            name = names[data[0] % len(names)]
            trial.run(f"coverage: {name}", {"data": data[1:]}, lambda _: READERS[name](data[1:]))

    corpus = os.path.join(samples, "..", "corpus")
    shutil.rmtree(corpus, ignore_errors=True)
    os.makedirs(corpus)
    for number, data in enumerate(_real_files(samples)):
        for index in range(len(names)):
            with open(os.path.join(corpus, f"{number}-{index}"), "wb") as file:
                file.write(bytes([index]) + data)
    options = [f"-max_len={_MOST_LENGTH}", "-rss_limit_mb=0", f"-seed={trial.number + 1}"]
    atheris.Setup([sys.argv[0], corpus, *options], one_input)
    atheris.Fuzz()


def _real_files(samples: str) -> list[bytes]:
    found = []
    for root, _, names in os.walk(samples):
        for name in names:
            path = os.path.join(root, name)
            if os.path.getsize(path) < _MOST_LENGTH:
                with open(path, "rb") as file:
                    found.append(file.read())
    return found


def by_structure(trial: Trial, first: int) -> None:
    """Let Hypothesis write whole files."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests.fuzz.strategies import cases
    from tests.fuzz.target_extract import extract

    @seed(first)
    @settings(
        max_examples=10**9,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def one_input(case: Any) -> None:
        trial.run(f"structure: {case.name}", case.files, case.check or extract)

    one_input()


def main(arguments: list[str]) -> None:
    """Command line."""
    group, samples, scratch, findings, first = arguments
    choose_reader(PURE)
    trial = Trial(Voice(), scratch, findings, int(first))
    if group == "coverage":
        by_coverage(trial, samples)
    else:
        by_structure(trial, int(first))


if __name__ == "__main__":
    main(sys.argv[1:])
