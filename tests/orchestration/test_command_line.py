"""orchestrate.py as people call it, before any stage runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMANDS = ("batch", "build", "convert", "doctor", "extract", "inspect", "load")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(machine, command):
    done = subprocess.run(
        [*machine.program, *command.split(), "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: orchestrate.py")
    if not command:
        assert [name for name in COMMANDS if f"  {name} " in done.stdout] == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["ckpt"], "Missing option '--model'", id="no-model"),
        pytest.param(["--model", "unet"], "Missing argument 'CKPT'", id="no-checkpoint"),
        pytest.param(["ckpt", "--model", "u", "--device", "tpu"], "'--device'", id="device"),
        pytest.param(["ckpt", "--model", "u", "--map", "gone.csv"], "'--map'", id="map-missing"),
        pytest.param(["ckpt", "--model", "gone.py:Net"], "'--model'", id="model-file-missing"),
        pytest.param(["ckpt", "--model", "u", "--tolerance", "0"], "tolerance", id="tolerance"),
        pytest.param(
            ["ckpt", "--model", "u", "--tolerance", "1"], "tolerance", id="tolerance-of-anything"
        ),
        pytest.param(["ckpt", "--model", "u", "--tolerance", "nan"], "tolerance", id="no-number"),
        pytest.param(["ckpt", "--model", "u", "--modle", "v"], "--model", id="option-misspelt"),
        pytest.param(["verfy", "x.bag"], "Did you mean 'verify'?", id="command-misspelt"),
    ],
)
def test_usage_errors(machine, arguments, text):
    done = machine.run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.names() == []


def test_a_prefix_that_looks_like_a_command_is_a_checkpoint(machine):
    (machine.folder / "verif.index").write_bytes(b"")
    done = machine.run("verif")
    assert done.returncode == 2
    assert "Missing option '--model'" in done.stderr


@pytest.mark.parametrize(
    ("variables", "colored"),
    [
        pytest.param({}, True, id="terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="no-color"),
    ],
)
def test_colours_on_a_terminal_unless_they_are_unwanted(machine, variables, colored):
    ours, theirs = os.openpty()
    environment = {key: value for key, value in machine.environment.items() if key != "NO_COLOR"}
    done = subprocess.run(
        [*machine.program, "inspect", "gone"],
        cwd=machine.folder,
        env={**environment, **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert done.returncode == 10
    assert b"CheckpointMissing" in shown
    assert (b"\x1b[31m" in shown) is colored


@pytest.mark.parametrize(
    ("arguments", "exit_code", "name"),
    [
        pytest.param(["gone", "--model", "unet"], 10, "CheckpointMissing", id="no-checkpoint"),
        pytest.param(["inspect", "gone"], 10, "CheckpointMissing", id="inspect"),
        pytest.param(["extract", "gone"], 10, "CheckpointMissing", id="extract"),
        pytest.param(["load", "gone", "--model", "unet"], 18, "ExportInvalid", id="load"),
        pytest.param(
            ["ckpt", "--model", "unet", "--out", "/proc/out"],
            19,
            "OutputNotWritable",
            id="output-impossible",
        ),
        pytest.param(
            ["ckpt", "--model", "unet", "--out", "ckpt/model.ckpt.index/out"],
            19,
            "OutputNotWritable",
            id="output-below-a-file",
        ),
        pytest.param(
            ["ckpt", "--model", "unet", "--memory-limit", "1g"],
            25,
            "FeatureUnavailable",
            id="memory-limit-of-plain-processes",
        ),
        pytest.param(
            ["ckpt", "--model", "unet", "--load-python", sys.executable],
            21,
            "EnvironmentBuildFailed",
            id="load-python-without-torch",
        ),
    ],
)
def test_errors_before_any_stage_starts(machine, arguments, exit_code, name):
    machine.checkpoint()
    done = machine.run(*arguments)
    assert done.returncode == exit_code
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Reader: ")]
    # What happened, what was expected, what to do.
    assert lines[0] == f"Error: {name} (exit code {exit_code})"
    assert len(lines) == 4
    assert machine.names() == ["ckpt"]


def test_the_local_runtimes_options_do_not_go_with_another(machine):
    machine.checkpoint()
    arguments = ["ckpt", "--model", "unet", "--load-python", sys.executable]
    done = subprocess.run(
        [*machine.program, *arguments, "--runtime", "docker"],
        cwd=machine.folder,
        env=machine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 25
    assert "--load-python was given together with --runtime docker" in done.stderr


def test_quiet_says_nothing_of_a_success(machine):
    machine.checkpoint()
    done = machine.run("ckpt", "--model", "unet", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("model", "line"),
    [pytest.param("failed", "FAILED  ckpt-torch\n", id="failed")],
)
def test_quiet_still_says_what_is_no_success(machine, model, line):
    machine.checkpoint()
    assert machine.run("ckpt", "--model", model, "--quiet").stderr == line


def test_verbose_shows_what_stages_write(machine):
    machine.checkpoint("exit 3")
    assert "extract| first words" in machine.run("ckpt", "--model", "unet", "-v").stderr


def test_load_works_from_an_export_made_elsewhere(machine):
    machine.checkpoint()
    machine.run("extract", "ckpt", "--out", "export")
    os.rename(machine.folder / "export", machine.folder / "elsewhere")
    done = machine.run("load", "elsewhere", "--model", "unet")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(machine.folder / "elsewhere-torch" / "export")) == [
        "graph.json",
        "variables.safetensors",
    ]
    again = machine.run("load", "elsewhere", "--model", "unet")
    assert "nothing to do" in again.stdout


def test_extract_makes_an_export_with_a_manifest(machine):
    machine.checkpoint()
    done = machine.run("extract", "ckpt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("EXPORTED  ckpt-export\n")
    assert sorted(os.listdir(machine.folder / "ckpt-export")) == [
        "graph.json",
        "manifest.json",
        "variables.safetensors",
    ]


def test_inspect_as_json_writes_nothing(machine):
    machine.checkpoint()
    done = machine.run("inspect", "ckpt", "--json")
    assert done.stdout == '{\n "reader": "tf",\n "variables": []\n}\n'
    assert machine.names() == ["ckpt"]


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("docker", id="docker-sdk"),
        pytest.param("rich", id="rich"),
        pytest.param("orchestration.engine", id="engine"),
    ],
)
def test_what_a_local_conversion_does_not_need_is_not_imported(machine, module):
    machine.checkpoint()
    done = subprocess.run(
        [
            sys.executable,
            *("-X", "importtime"),
            *machine.program[1:],
            *("ckpt", "--model", "unet", "--runtime", "local"),
        ],
        cwd=machine.folder,
        env=machine.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "orchestration.pipeline" in imported
    assert module not in imported
