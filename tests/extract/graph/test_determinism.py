"""Equal graphs give equal bytes, in this process and in others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Callable

import pytest

from tests.extract.graph import networks
from tests.extract.graph.graph_case import describe_built, to_text

PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
from tests.extract.graph import networks
from tests.extract.graph.graph_case import describe_built, to_text
sys.stdout.write(to_text(describe_built(getattr(networks, sys.argv[1]))))
"""
NETWORK = networks.generative_adversarial
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(networks.keras_model, id="keras"),
        pytest.param(networks.two_slices, id="two-outputs"),
        pytest.param(networks.speech_ctc, id="loops"),
    ],
)
def test_equal_graphs_give_equal_descriptions(build: Callable[[], Any]) -> None:
    assert to_text(describe_built(build)) == to_text(describe_built(build))


def test_order_of_sets_does_not_show() -> None:
    def run(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT}
        command = [sys.executable, "-c", PROGRAM, NETWORK.__name__]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout

    first = run("1")
    assert first.startswith(b"{")
    assert first == run("2")
