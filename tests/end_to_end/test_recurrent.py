"""Every recurrent cell of TensorFlow 1.15 into torch's modules: proven, or refused with the reason.

The networks are in tests/recurrent. One process builds them all, one exports them, one loads them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NETWORKS = REPOSITORY / "tests" / "recurrent"

# TensorFlow's network, torch's, layers of TensorFlow's whose outputs are compared.
PROVEN = [
    ("basic", "lstm", 2),
    ("basic", "lstm_time_first", 2),
    ("basic", "steps", 1),
    ("basic", "WrittenOut", 1),
    ("forget_bias", "lstm", 2),
    ("lstm_cell", "lstm", 2),
    ("time_major", "lstm", 2),
    ("static", "lstm", 2),
    ("block", "lstm", 2),
    ("fused", "lstm_time_first", 2),
    ("cudnn_lstm", "lstm", 2),
    ("projection", "projected", 2),
    ("keras_lstm", "lstm", 2),
    ("keras_no_bias", "lstm", 2),
    ("keras_no_bias", "lstm_without_bias", 2),
    ("bidirectional", "both", 3),
    ("bidirectional_projection", "projected_both", 3),
    ("keras_bidirectional", "both", 3),
    ("stacked", "stack", 2),
    ("two_sizes", "TwoModules", 2),
    ("stacked_bidirectional", "stack_both", 3),
    ("last_state", "lstm_last", 1),
    ("one_step", "one_step", 2),
    ("backward_alone", "Flipped", 2),
    ("cudnn_gru", "gru", 2),
    ("cudnn_gru", "GruSteps", 1),
    ("cudnn_gru_bidirectional", "gru_both", 3),
    ("keras_gru", "gru", 2),
    ("keras_gru", "GruSteps", 1),
    ("keras_gru_no_bias", "gru", 2),
    ("gru_cell", "GruWrittenOut", 1),
]
REFUSED = [
    ("peephole", "lstm", "it has peepholes"),
    ("block_peephole", "lstm", "it has peepholes"),
    ("cell_clip", "lstm", "it clips (cell_clip=0.5)"),
    ("projection_clip", "projected", "it clips (projection_clip=0.5)"),
    ("relu", "lstm", "its activation is relu"),
    ("hard_sigmoid", "lstm", "its recurrent_activation is hard_sigmoid"),
    ("gru_cell", "gru", "it resets the state before its product"),
    ("keras_gru_before", "gru", "it resets the state before its product"),
    ("keras_gru_hard_sigmoid", "gru", "its recurrent_activation is hard_sigmoid"),
    ("basic", "lstm_without_bias", "rnn/basic_lstm_cell/bias [24]"),
]
NAMES = sorted({case[0] for case in (*PROVEN, *REFUSED)})


def _last_events(
    python: Path, stage: str, jobs: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Run jobs one after another by one process; return the last event of each."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run(
        [python, "-m", stage],
        cwd=REPOSITORY,
        env=environment,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {e["job"]: e for e in events if e["event"] in ("done", "failed")}


@pytest.fixture(scope="module")
def exports(
    extract_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Folder of each network's export."""
    root = tmp_path_factory.mktemp("recurrent")
    command = [extract_python, "-W", "ignore", NETWORKS / "build.py", root / "checkpoints", *NAMES]
    subprocess.run(command, check=True, capture_output=True)
    for name in NAMES:
        (root / "exports" / name).mkdir(parents=True)
    folders = {"checkpoint": root / "checkpoints", "out": root / "exports"}
    jobs = [
        {"job": name, "command": "extract", **{k: str(v / name) for k, v in folders.items()}}
        for name in NAMES
    ]
    events = _last_events(extract_python, "stage_extract", jobs)
    assert [name for name in NAMES if events[name]["event"] != "done"] == []
    return lambda name: root / "exports" / name


@pytest.fixture(scope="module")
def loaded(
    exports: Callable[[str], Path], load_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[dict[str, Any], Path]]:
    """Last event and result folder of each conversion."""
    root = tmp_path_factory.mktemp("loaded")
    cases = [(network, model) for network, model, _ in (*PROVEN, *REFUSED)]
    jobs = []
    for network, model in cases:
        out = root / f"{network}-{model}"
        out.mkdir()
        options = {"model": f"{NETWORKS / 'torch_nets.py'}:{model}", "device": "cpu"}
        job = {"job": out.name, "command": "load", "export": str(exports(network))}
        jobs.append({**job, "out": str(out), "options": options})
    events = _last_events(load_python, "stage_load", jobs)
    return lambda network, model: (events[f"{network}-{model}"], root / f"{network}-{model}")


@pytest.mark.slow
@pytest.mark.parametrize(("network", "model", "layers"), PROVEN)
def test_proven(loaded, network, model, layers):
    event, folder = loaded(network, model)
    assert event["event"] == "done", event
    report = json.loads((folder / "report.json").read_bytes())
    assert report["verdict"] == "proven"
    assert report["parity"]["max_rel"] < 1e-5
    assert report["parity"]["compared_outputs"] == 1
    assert report["parity"]["compared_layers"] == layers
    assert report["coverage"]["variables_loaded"] == report["coverage"]["variables"]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "model", "reason"), REFUSED)
def test_refused(loaded, network, model, reason):
    event, folder = loaded(network, model)
    assert event["event"] == "failed"
    # A bias without a place is left over; a cell that torch does not compute has no rule.
    is_left_over = model == "lstm_without_bias"
    assert event["error"]["class"] == ("TensorsDoNotFit" if is_left_over else "LayoutUnknown")
    assert reason in event["error"]["happened"]
    assert not (folder / "model.safetensors").exists()
