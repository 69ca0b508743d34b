"""A graph that never ends, or that wants more memory than there is, costs the reference alone."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy
import pytest
import tensorflow

from stage_extract import memory
from stage_extract.reference import session

compat = tensorflow.compat.v1


def endless() -> None:
    x = compat.placeholder("float32", [2, 5], name="x")
    weight = compat.get_variable("weight", [5])
    one = compat.constant(1)
    looped = compat.while_loop(lambda turn, _: turn > 0, lambda turn, v: (one, v * 0.5), [one, x])
    compat.multiply(looped[1], weight, name="out")


def endless_in_a_function() -> None:
    compat.enable_control_flow_v2()
    try:
        endless()
    finally:
        compat.disable_control_flow_v2()


@pytest.mark.parametrize("build", [endless, endless_in_a_function])
def test_an_endless_loop_is_ended(
    save_graph: Any, run_reference: Any, monkeypatch: Any, build: Any
) -> None:
    monkeypatch.setattr(session, "LONGEST_RUNS_S", 1.5)
    saved = save_graph(build)
    begin_s = time.monotonic()
    result, tensors = run_reference(saved, ["x:0"], ["out:0"])
    assert time.monotonic() - begin_s < 60
    assert (result.state, tensors) == ("absent", None)
    assert "the reference run takes longer than 1.5 s" in result.reason


def of_elements(count: int) -> Any:
    def build() -> None:
        x = compat.placeholder("float32", [2, 5], name="x")
        weight = compat.get_variable("weight", [5])
        # The size is computed, so that importing the graph makes no constant of it.
        side = compat.cast(compat.reduce_sum(x) * 0.0 + float(count) ** 0.5, "int32")
        filled = compat.fill([side, side], 1.0, name="filled")
        compat.multiply(x * weight, compat.reduce_max(filled), name="out")

    return build


def test_an_immense_tensor_is_refused(save_graph: Any, run_reference: Any) -> None:
    result, _ = run_reference(save_graph(of_elements(2**40)), ["x:0"], ["out:0"])
    assert result.state == "absent"
    assert "node 'filled' (op Fill)" in result.reason
    assert "OOM when allocating tensor with shape[1048576,1048576]" in result.reason


def test_no_run_takes_more_memory_than_the_machine_has(
    save_graph: Any, run_reference: Any, monkeypatch: Any
) -> None:
    """On a machine with 1 GB left, a tensor of 4 GB is refused, not begun."""
    size_bytes = memory._size_bytes
    left = {memory._AVAILABLE_FIELD: 10**9}
    monkeypatch.setattr(
        memory, "_size_bytes", lambda path, field: left.get(field) or size_bytes(path, field)
    )
    before = resource.getrlimit(resource.RLIMIT_DATA)
    saved = save_graph(of_elements(2**30))
    result, _ = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == "absent"
    assert "OOM when allocating tensor with shape[32768,32768]" in result.reason
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    # The next one runs.
    result, tensors = run_reference(save_graph(of_elements(9)), ["x:0"], ["out:0"])
    assert (result.state, result.reason) == ("recorded", None)
    assert numpy.abs(tensors["out:0"]).max() > 1e-3
