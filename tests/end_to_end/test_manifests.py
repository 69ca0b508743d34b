"""What manifests tell is so: of each runtime, the processes that ran and what they ran in."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.image_sources import ImageSources
from orchestration.images import BASE_DIGEST_LABEL, BASE_NAME_LABEL, CONTENT_LABEL
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage
from orchestration.sif.store import SifStore
from tests.manifest_schema import checked_manifest
from tests.orchestration.apptainer_bench import BUILD_COMMAND, absent, need_program
from tests.podman_people import give_images, make_person

REPOSITORY = Path(__file__).resolve().parents[2]
CHECKPOINT = REPOSITORY / "tests" / "contract" / "checkpoints" / "segmenter"
STAGES: tuple[Stage, ...] = ("extract", "load")
CONTAINERS = ("docker", "podman", "apptainer")
# Prints what is installed for the Python that runs it, by its own means.
INSTALLED = """
import json, sys
try:
    from importlib.metadata import distributions
except ImportError:
    from pkg_resources import working_set
    found = {one.project_name: one.version for one in working_set}
else:
    found = {one.metadata["Name"]: one.version for one in distributions()}
print(json.dumps(found))
"""


def need_podman(cache: Path) -> None:
    people = make_person("root")
    give_images(next(people))
    list(people)


def need_sifs(cache: Path) -> None:
    store = SifStore(need_program(), os.environ)
    references = [ImageSources.read(stage, "cpu").reference for stage in STAGES]
    for reference in references:
        if store.find_image(reference) is None:
            absent(f"there is no file of {reference}: run `{BUILD_COMMAND}`")
    # Wherever `build` was told to put them.
    (folder,) = {store.path(reference).parent for reference in references}
    (cache / "images").symlink_to(folder)


NEEDS: dict[str, Callable[[Path], None]] = {"podman": need_podman, "apptainer": need_sifs}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local", id="local"),
        *(pytest.param(name, id=name, marks=pytest.mark.docker) for name in CONTAINERS),
    ],
)
def converted(
    request: pytest.FixtureRequest, shared_workplace: Any
) -> tuple[str, Path, dict[str, Any]]:
    """Name of a runtime, a result that it has made, and the result's manifest."""
    runtime = str(request.param)
    if runtime in NEEDS:
        NEEDS[runtime](shared_workplace.folder.parent / "cache" / PROJECT)
    options = ("--model", "unet", "--runtime", runtime, "--seed", "5", "--force")
    done = shared_workplace.run(CHECKPOINT, *options, "--out", runtime)
    assert done.returncode == 0, done.stderr
    out = shared_workplace.folder / runtime
    return runtime, out, checked_manifest(out)


def test_it_tells_what_was_asked_for_and_read(converted: Any) -> None:
    runtime, out, manifest = converted
    settings = manifest["settings"]
    assert settings["runtime"]["name"] == manifest["runtime"] == runtime
    assert (settings["checkpoint"], settings["out"]) == (str(CHECKPOINT), str(out))
    assert (settings["extract"]["seed"], settings["extract"]["reader"]) == (5, "tf")
    assert manifest["seeds"] == {"inputs": 5, "initialisation": 0, "python_hash": 0}
    (read,) = manifest["inputs"]
    assert (read["role"], read["folder"]) == ("checkpoint", str(CHECKPOINT))
    for folder, files in ((CHECKPOINT, read["files"]), (out, manifest["files"])):
        for entry in files:
            content = (folder / entry["name"]).read_bytes()
            assert entry["size_bytes"] == len(content)
            assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {entry["name"] for entry in manifest["files"]} | {"manifest.json"} == names


def test_it_tells_the_checkpoints_own_checksums(converted: Any) -> None:
    _, out, manifest = converted
    told = manifest["extract"]["result"]["checkpoint"]["crc32c"]
    graph = json.loads((out / "export" / "graph.json").read_bytes())
    assert list(told) == sorted(variable["name"] for variable in graph["variables"])


def test_it_tells_the_verdict(converted: Any) -> None:
    _, out, manifest = converted
    report = json.loads((out / "report.json").read_bytes())
    compared = report["parity"]["layers"] + report["parity"]["outputs"]
    assert manifest["verdict"] == {
        "state": report["verdict"],
        "exit_code": 0,
        "tolerance": 1e-4,
        "worst": {key: report["parity"][key] for key in ("max_abs", "max_rel")}
        | {"tensor": report["parity"]["worst"]},
    }
    assert report["parity"]["worst"] in [one["tensor"] for one in compared]
    assert 0 < report["parity"]["max_rel"] < 1e-4


def test_it_tells_the_machine(converted: Any) -> None:
    hardware = converted[2]["hardware"]
    assert hardware["machine"] == os.uname().machine
    assert hardware["processors"] == os.cpu_count()
    flags = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in flags.splitlines() if line.startswith("Flags:"))
    assert hardware["cpu_features"] == sorted(line.split()[1:])


def test_times_are_in_order(converted: Any) -> None:
    _, _, manifest = converted
    extract, load = manifest["extract"], manifest["load"]
    moments = (manifest["started"], extract["started"], extract["ended"], load["ended"])
    assert list(moments) == sorted(moments)
    assert extract["ended"] <= load["started"] <= load["ended"] <= manifest["ended"]


def image_id(runtime: str, reference: str) -> str:
    """Digest of an image, as its keeper tells it."""
    if runtime == "apptainer":
        return f"sha256:{hashlib.sha256(Path(reference).read_bytes()).hexdigest()}"
    name = reference if runtime == "docker" else f"localhost/{reference}"
    command = [runtime, "image", "inspect", "--format", "{{.Id}}", name]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"sha256:{found.removeprefix('sha256:')}"


@pytest.mark.parametrize("stage", STAGES)
def test_it_tells_the_image_or_the_environment(converted: Any, stage: Stage) -> None:
    runtime, _, manifest = converted
    record = manifest[stage]
    if runtime == "local":
        environment = record["environment"]
        command = [environment["python"], "-c", INSTALLED]
        told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

        def plain(packages: dict[str, str]) -> dict[str, str]:
            return {name.lower().replace("-", "_"): text for name, text in packages.items()}

        assert plain(environment["packages"]) == plain(told)
        lock = (REPOSITORY / "docker" / environment["lock"]).read_bytes()
        assert environment["lock_sha256"] == hashlib.sha256(lock).hexdigest()
        assert manifest["program"]["locks"][environment["lock"]] == environment["lock_sha256"]
        return
    sources, image = ImageSources.read(stage, "cpu"), record["image"]
    assert image["stage"] == stage
    assert image["id"] == image_id(runtime, image["reference"])
    labels = image["labels"]
    assert labels[CONTENT_LABEL] == sources.content_hash()
    assert image["base"] == {
        "name": labels[BASE_NAME_LABEL],
        "digest": labels[BASE_DIGEST_LABEL],
    }
    assert image["base"]["digest"].startswith("sha256:")
    assert record["engine"].lower().startswith(runtime)


@pytest.mark.parametrize("stage", STAGES)
def test_it_tells_what_was_started(converted: Any, stage: Stage) -> None:
    runtime, out, manifest = converted
    argv, image = manifest[stage]["argv"], manifest[stage]["image"]
    # Where stage 1 reads, and stage 2 writes: a folder that has become the result.
    work = out.parent
    if runtime == "docker":
        assert argv["image"] == image["id"]
        assert (argv["network_mode"], argv["read_only"]) == ("none", True)
        sources = {mount["Target"]: mount["Source"] for mount in argv["mounts"]}
        assert sources["/out"].startswith(str(work))
        assert stage == "load" or sources["/in"] == str(CHECKPOINT)
        return
    assert Path(argv[0]).name.startswith({"local": "python"}.get(runtime, runtime))
    if runtime == "local":
        assert argv[0] == manifest[stage]["environment"]["python"]
        # Without byte code, where the program that starts it writes none.
        assert [one for one in argv if one != "-B"][1:4] == ["-s", "-m", f"stage_{stage}"]
        return
    assert (image["id"] if runtime == "podman" else image["reference"]) in argv
    assert any(text.startswith("--network") for text in argv)
    assert stage == "load" or any(str(CHECKPOINT) in text for text in argv)


def test_the_same_bytes_come_from_what_it_tells(converted: Any, shared_workplace: Any) -> None:
    runtime, out, manifest = converted
    done = shared_workplace.run("rerun", out, "--out", f"{runtime}-again")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("REPRODUCED")
    assert "is not here" not in done.stderr
    again = checked_manifest(shared_workplace.folder / f"{runtime}-again")
    for part in ("files", "inputs", "program", "runtime", "seeds", "verdict"):
        assert again[part] == manifest[part], part
    for stage in STAGES:
        assert again[stage]["image"] == manifest[stage]["image"]
        assert again[stage]["environment"] == manifest[stage]["environment"]


def test_plain_processes_give_the_same_bytes(converted: Any, shared_workplace: Any) -> None:
    runtime, out, _ = converted
    if runtime == "local":
        pytest.skip("it is what the others are compared with")
    by_local = ("--runtime", "local", "--out", f"{runtime}-by-local")
    done = shared_workplace.run("rerun", out, *by_local)
    assert done.returncode == 0, done.stderr
    assert f"runtime (local, recorded was {runtime})" in done.stdout
