"""Which code reads a checkpoint, where it runs, and that it is said."""

from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import pytest

from orchestration.environments import recipe_for
from orchestration.errors import LegacyPythonMissing
from orchestration.processor import why_no_tensorflow
from orchestration.readers import home_of_stage_1, with_chosen_reader
from orchestration.runtimes import local
from orchestration.runtimes.base import Availability
from orchestration.runtimes.docker import tensorflow_on
from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import ExtractOptions, RuntimeOptions

WORKS = Availability(True, "its environment is there")
ARM = Availability(False, "aarch64: TensorFlow 1.15.5 was built for x86_64 only.")


@pytest.mark.parametrize(
    ("machine", "flags", "words"),
    [
        pytest.param("x86_64", frozenset({"sse", "avx"}), None, id="ordinary"),
        pytest.param("AMD64", frozenset({"avx"}), None, id="other-name"),
        pytest.param("x86_64", None, None, id="system-does-not-tell"),
        pytest.param("x86_64", frozenset({"sse", "avx2x"}), "no AVX", id="emulated"),
        pytest.param("aarch64", frozenset({"asimd"}), "aarch64", id="arm"),
        pytest.param("arm64", None, "arm64", id="apple"),
        pytest.param("aarch64", frozenset({"avx"}), "aarch64", id="arm-first"),
    ],
)
def test_what_a_processor_can_run(machine, flags, words):
    why = why_no_tensorflow(machine, flags)
    assert why is None if words is None else words in why


@pytest.mark.parametrize(
    ("asked", "tensorflow", "chosen", "said"),
    [
        pytest.param("auto", WORKS, "tf", ["Reader: tf (its environment is there)"], id="works"),
        pytest.param(
            "auto",
            ARM,
            "pure",
            [
                "Reader: pure (aarch64: TensorFlow 1.15.5 was built for x86_64 only), so nothing"
                " is run as a reference"
            ],
            id="does-not-work",
        ),
        # Asked for by name, it is tried as it is; what then fails has an error of its own.
        pytest.param("tf", ARM, "tf", [], id="tf"),
        pytest.param("pure", WORKS, "pure", [], id="pure"),
        pytest.param("both", WORKS, "both", [], id="both"),
    ],
)
def test_choice(asked, tensorflow, chosen, said):
    lines: list[str] = []
    runtime = SimpleNamespace(tensorflow=lambda: tensorflow)
    options = with_chosen_reader(ExtractOptions(reader=asked, seed=7), runtime, lines.append)
    assert options == ExtractOptions(reader=chosen, seed=7)
    assert lines == said


@pytest.mark.parametrize(
    ("reader", "home"), [("tf", "extract"), ("both", "extract"), ("pure", "load")]
)
def test_home_of_stage_1(reader, home):
    assert home_of_stage_1(reader) == home


@pytest.mark.parametrize(
    ("architecture", "is_here", "flags", "ok"),
    [
        pytest.param("x86_64", True, frozenset({"avx"}), True, id="here"),
        pytest.param("x86_64", True, frozenset({"sse"}), False, id="here-without-avx"),
        # This machine's flags say nothing about another.
        pytest.param("x86_64", False, frozenset({"sse"}), True, id="elsewhere"),
        pytest.param("aarch64", False, frozenset({"avx"}), False, id="arm-elsewhere"),
        pytest.param("aarch64", True, None, False, id="arm-without-flags"),
    ],
)
def test_tensorflow_in_containers(architecture, is_here, flags, ok, monkeypatch):
    monkeypatch.setattr("orchestration.runtimes.docker.read_cpu_flags", lambda: flags)
    engine = SimpleNamespace(info=lambda: {"Architecture": architecture}, is_here=is_here)
    assert tensorflow_on(engine).ok is ok


@pytest.mark.parametrize(
    ("architecture", "flags", "words"),
    [
        pytest.param("x86_64", frozenset({"sse"}), "no AVX", id="no-avx"),
        pytest.param("aarch64", None, "aarch64", id="arm"),
        pytest.param("x86_64", frozenset({"avx"}), "No CPython 3.7", id="no-python"),
    ],
)
def test_tensorflow_in_processes(architecture, flags, words, tmp_path, monkeypatch):
    monkeypatch.setattr(local.platform, "machine", lambda: architecture)
    monkeypatch.setattr(local, "read_cpu_flags", lambda: flags)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    nothing = {"PATH": "", "XDG_CACHE_HOME": os.fspath(tmp_path)}
    tensorflow = LocalRuntime(RuntimeOptions(), nothing).tensorflow()
    assert not tensorflow.ok
    assert words in tensorflow.reason


def test_a_named_python_that_does_not_serve_is_an_error(tmp_path):
    nothing = {"PATH": "", "XDG_CACHE_HOME": os.fspath(tmp_path)}
    runtime = LocalRuntime(RuntimeOptions(legacy_python=tmp_path / "python"), nothing)
    with pytest.raises(LegacyPythonMissing):
        runtime.tensorflow()


@pytest.fixture
def modern_machine(machine, tmp_path):
    """A machine without any CPython 3.7, nor an environment made from one."""
    environments = tmp_path / "cache" / "tf1-to-torch" / "environments"
    shutil.rmtree(environments / recipe_for("extract", "cpu").folder_name())
    machine.environment.update(
        {"PATH": "/usr/bin:/bin", "HOME": os.fspath(tmp_path), "PYENV_ROOT": os.fspath(tmp_path)}
    )
    for name in ("CONDA_PREFIX", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"):
        machine.environment.pop(name, None)
    return machine


def test_without_python_3_7_the_pure_reader_runs_in_stage_2_s_environment(modern_machine):
    modern_machine.checkpoint()
    done = modern_machine.run("ckpt", "--model", "unproven")
    assert done.returncode == 0, done.stderr
    assert "Reader: pure (No CPython 3.7 was found" in done.stderr
    manifest = json.loads((modern_machine.folder / "ckpt-torch" / "manifest.json").read_bytes())
    assert manifest["extract"]["reader"] == "pure"
    assert manifest["extract"]["versions"] == {"python": "3", "numpy": "2"}
    graph = json.loads((modern_machine.folder / "ckpt-torch/export/graph.json").read_bytes())
    assert graph["options"]["reader"] == "pure"


@pytest.mark.parametrize("reader", ["tf", "both"])
def test_asked_for_tensorflow_a_missing_python_is_an_error(modern_machine, reader):
    modern_machine.checkpoint()
    done = modern_machine.run("ckpt", "--model", "x", "--reader", reader)
    assert done.returncode == LegacyPythonMissing.exit_code
    assert "LegacyPythonMissing" in done.stderr
    assert "--reader pure" in done.stderr


@pytest.mark.parametrize(
    ("reader", "versions"),
    [
        pytest.param("tf", {"python": "3", "tensorflow": "1"}, id="tf"),
        pytest.param("pure", {"python": "3", "numpy": "2"}, id="pure"),
        pytest.param("both", {"python": "3", "tensorflow": "1"}, id="both"),
    ],
)
def test_the_manifest_tells_the_reader(machine, reader, versions):
    machine.checkpoint()
    done = machine.run("extract", "ckpt", "--reader", reader)
    assert done.returncode == 0, done.stderr
    assert "Reader:" not in done.stderr
    manifest = json.loads((machine.folder / "ckpt-export" / "manifest.json").read_bytes())
    assert (manifest["extract"]["reader"], manifest["extract"]["versions"]) == (reader, versions)


def test_an_inspection_runs_without_tensorflow_too(modern_machine):
    modern_machine.checkpoint()
    done = modern_machine.run("inspect", "ckpt", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"variables": [], "reader": "pure"}
