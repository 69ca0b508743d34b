"""Archives of every kind of run: what can be checked of each, and what is said of the rest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import RuntimeOptions
from tests.end_to_end.archives import verified_by
from tests.end_to_end.warm_runtime import WarmRuntime

REPOSITORY = Path(__file__).resolve().parents[2]
NORMALISATIONS = REPOSITORY / "tests" / "normalisations"
# A Keras file, which only TensorFlow's own h5py reads.
KERAS = """
import sys
import tensorflow as tf
layers = [tf.keras.layers.Dense(3, input_shape=(5,)), tf.keras.layers.Dense(2)]
tf.keras.Sequential(layers).save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def workplace(shared_workplace):
    return shared_workplace


@pytest.fixture(scope="module")
def archived(workplace) -> Callable[..., Path]:
    """`archived(name, *arguments)`: run a command, and archive its result."""

    def make(name: str, *arguments: str | Path, suffix: str = ".bag") -> Path:
        bag = workplace.folder / f"{name}{suffix}"
        if not bag.exists():
            commands = (
                (*arguments, "--out", name, "--runtime", "local"),
                ("archive", name, "--bag", bag, "--without-program"),
            )
            for command in commands:
                done = workplace.run(*command)
                assert done.returncode == 0, done.stderr
        return bag

    return make


@pytest.fixture(scope="module")
def verified(extract_python, load_python) -> Iterator[Callable[..., dict[str, dict]]]:
    """`verified(bag, option=…)`: the links of a bag that holds, made again by warm stages."""
    runtime = WarmRuntime(LocalRuntime(RuntimeOptions(), os.environ))

    def run(bag: Path, **options: Any) -> dict[str, dict]:
        found = verified_by(runtime, bag, **options)
        assert found.exit_code == 0, found.to_json()
        return {verdict.link: verdict.to_json() for verdict in found.verdicts}

    yield run
    runtime.close()


def run_legacy(python: Path, *arguments: str | Path) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([python, "-W", "ignore", *arguments], env=environment, check=True)


@pytest.fixture(scope="module")
def folded(archived, extract_python, workplace) -> Path:
    """Kernels that TensorFlow alone computes, and a model of the user's own."""
    if not (workplace.folder / "norm").exists():
        run_legacy(extract_python, NORMALISATIONS / "build.py", workplace.folder / "norm")
    model = f"{NORMALISATIONS / 'torch_networks.py'}:Folded"
    return archived("folded", workplace.folder / "norm" / "folded", "--model", model)


def test_code_that_came_with_the_bag_is_not_run_unasked(folded, verified):
    links = verified(folded, rerun=True)
    for link in ("mapping", "proof", "rerun"):
        assert links[link]["state"] == "not_checked"
        assert "torch_networks.py:Folded" in links[link]["details"]
        assert "--trust-code" in links[link]["details"]


def test_code_that_is_trusted_is_run(folded, verified):
    links = verified(folded, trust_code=True)
    assert {links[link]["state"] for link in ("export", "mapping", "proof")} == {"ok"}
    assert "model_source/torch_networks.py" in links["mapping"]["details"]


def test_what_only_tensorflow_computes_is_made_by_it(folded, verified):
    export = verified(folded)["export"]
    assert export["state"] == "ok"
    assert export["details"].startswith("made again by TensorFlow")
    export = verified(folded, reader="pure")["export"]
    assert export["state"] == "not_checked"
    assert "kernels that the graph computes from variables" in export["details"]


def test_a_format_that_only_tensorflow_reads(archived, verified, workplace, extract_python):
    file = workplace.folder / "net.h5"
    run_legacy(extract_python, "-c", KERAS, file)
    bag = archived("keras", "extract", file)
    links = verified(bag)
    assert links["export"]["details"].startswith("made again by TensorFlow")
    for link in ("mapping", "proof"):
        assert links[link]["details"] == "stage 2 had no part in this run"
    export = verified(bag, reader="pure")["export"]
    assert export["state"] == "not_checked"
    assert "HDF5" in export["details"]


def test_a_run_that_began_with_an_export(archived, verified, zoo, workplace):
    archived("export", "extract", zoo("upconvcat"), "--reader", "pure")
    links = verified(archived("loaded", "load", "export", "--model", "unet"))
    assert links["export"]["state"] == "not_checked"
    assert "began with an export" in links["export"]["details"]
    assert links["mapping"]["state"] == "ok"


def test_a_run_without_tensorflow_by_a_map_and_with_names_that_no_bag_can_list(
    archived, verified, zoo, workplace
):
    """All in one stream: it is unpacked, and the files get their names back."""
    odd = workplace.folder / "odd"
    odd.mkdir()
    for path in zoo("upconvcat").glob("model.ckpt.*"):
        (odd / path.name.replace("model", "50% \n")).write_bytes(path.read_bytes())
    arguments = (odd / "50% \n.ckpt", "--model", "unet", "--reader", "pure")
    archived("first", *arguments)
    arguments += ("--map", workplace.folder / "first" / "mapping.csv")
    links = verified(archived("mapped", *arguments, suffix=".tar.zst"), rerun=True)
    assert {links[link]["state"] for link in ("export", "mapping", "rerun")} == {"ok"}
    assert "graph.json byte for byte" in links["export"]["details"]
    assert links["proof"]["state"] == "not_checked"
    assert "not proven then either" in links["proof"]["details"]


def test_what_is_no_bag_is_refused(workplace, tmp_path):
    (tmp_path / "file").write_bytes(b"no bag")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        done = workplace.run("verify", path)
        assert done.returncode == 81
        assert "BagUnreadable" in done.stderr


def test_an_engine_that_is_not_there_is_no_success_and_no_fault(archived, workplace, zoo):
    bag = archived("export", "extract", zoo("upconvcat"), "--reader", "pure")
    environment = {**workplace.environment, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    elsewhere = replace(workplace, environment=environment)
    done = elsewhere.run("verify", bag, "--runtime", "docker", "--json")
    found = json.loads(done.stdout)
    links = {link["link"]: link for link in found["links"]}
    assert links["fixity"]["state"] == links["records"]["state"] == "ok"
    assert links["export"]["state"] == "not_checked"
    assert links["export"]["details"].startswith("EngineNotRunning")
    assert (done.returncode, found["exit_code"], found["state"]) == (13, 13, "ok")


def test_the_table_names_the_fault(archived, workplace, zoo):
    bag = archived("export", "extract", zoo("upconvcat"), "--reader", "pure")
    (bag / "data" / "more").write_text("more", encoding="ascii")
    try:
        done = workplace.run("verify", bag, "--fixity-only")
        quiet = workplace.run("verify", bag, "--fixity-only", "--quiet")
    finally:
        (bag / "data" / "more").unlink()
    assert done.returncode == quiet.returncode == 76
    lines = done.stdout.splitlines()
    assert lines[0] == f"BROKEN  {bag.name}: fixity, records"
    assert "    data/more: extra: it is there, and not listed" in lines
    assert quiet.stdout.splitlines()[0] == lines[0]
