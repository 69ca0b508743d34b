"""Exports with a reference run, as the tests of names look at them."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Tuple

from safetensors.numpy import load_file


def extract(
    run_extraction: Callable[..., Any], prefix: str, out: Any, **options: Any
) -> Tuple[Any, Dict[str, Any], Dict[str, Any]]:
    """Give the job's outcome, graph.json and the recorded tensors; fails without a reference."""
    outcome = run_extraction(prefix, out, reference=True, **options)
    assert outcome.result["reference"]["state"] == "recorded", outcome.result["reference"]
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    return outcome, graph, load_file(str(out / "reference.safetensors"))
