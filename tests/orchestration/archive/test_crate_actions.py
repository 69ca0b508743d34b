"""What an archive's metadata tells of the stages: software, images, inputs, outputs, outcome."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

from orchestration.archive.crate.metadata import ArchiveFacts, FileFact, crate_metadata
from orchestration.recorded_run import RecordedRun
from tests.orchestration.archive.archived_runs import DOCKER, EXPORT, LOCAL, SIF, references


def test_a_run_in_containers(tmp_path):
    entities = DOCKER.entities(tmp_path)
    extract, load = entities["#extract"], entities["#load"]
    assert references(entities["./"]["mentions"]) == ["#extract", "#load"]
    assert extract["description"] == '{"command": ["-m", "stage_extract"], "image": "x"}'
    assert load["description"] == "podman run --name 'a b'"
    assert (extract["startTime"], extract["endTime"]) == (
        "2026-11-26T00:52:31+00:00",
        "2026-11-26T00:52:36+00:00",
    )
    assert references(extract["object"])[:2] == ["original/", "given/data/"]
    assert references(load["object"])[:2] == ["result/export/", "given/map/"]
    assert references(extract["result"]) == [
        "result/export/graph.json",
        "result/export/variables.safetensors",
    ]
    assert references(load["result"]) == [
        "result/config.json",
        "result/manifest.json",
        "result/mapping.csv",
        "result/model.safetensors",
    ]
    assert entities["#extract-seed"]["value"] == "7"
    assert entities["#load-model"]["value"] == '"unet"'
    assert {"@id": "#load-tolerance"} in load["object"]
    assert entities["#python-hash-seed"]["name"] == "PYTHONHASHSEED"
    assert "error" not in load
    assert load["actionStatus"] == "http://schema.org/CompletedActionStatus"


def test_images(tmp_path):
    entities = DOCKER.entities(tmp_path)
    assert entities["#extract"]["containerImage"] == {"@id": "#image-extract"}
    assert entities["#image-extract"] == {
        "@id": "#image-extract",
        "@type": "ContainerImage",
        "additionalType": {"@id": "https://w3id.org/ro/terms/workflow-run#DockerImage"},
        "registry": "localhost",
        "name": "tf1-to-torch/extract",
        "tag": "0a",
        "sha256": "a" * 64,
        "isBasedOn": {"@id": "#base-image-extract"},
        "associatedMedia": {"@id": "images/extract.oci.tar"},
    }
    base = entities["#base-image-extract"]
    assert (base["registry"], base["name"], base["tag"], base["sha256"]) == (
        "docker.io",
        "python",
        "3.7-slim-bookworm",
        "c" * 64,
    )
    own = entities["#image-load"]
    assert (own["registry"], own["name"], own["tag"]) == ("quay.io:443", "lab/load", "1.2")


def test_a_sif_of_the_other_stage(tmp_path):
    entities = SIF.entities(tmp_path)
    assert entities["#extract"]["containerImage"] == {"@id": "#image-load"}
    found = entities["#image-load"]
    assert found["additionalType"]["@id"].endswith("#SIFImage")
    assert (found["name"], found["sha256"]) == ("load 1.img", "d" * 64)
    assert found["associatedMedia"] == {"@id": "images/load.sif"}
    assert references(entities["#extract"]["result"]) == [
        "result/graph.json",
        "result/manifest.json",
        "result/variables.safetensors",
    ]
    assert entities["./"]["mentions"] == {"@id": "#extract"}
    assert entities["./"]["name"] == "ckpt 2018, exported from TensorFlow 1.x"


def test_an_image_of_both_stages_is_there_once(tmp_path):
    manifest = {**DOCKER.manifest}
    one_image = {**manifest["load"]["image"], "stage": "extract"}
    manifest["extract"] = {**manifest["extract"], "image": one_image}
    names = [name for name in DOCKER.names if name != "images/extract.oci.tar"]
    entities = replace(DOCKER, manifest=manifest, names=names).entities(tmp_path)
    assert entities["#image-extract"]["associatedMedia"] == {"@id": "images/load.oci.tar"}


def test_a_failed_proof(tmp_path):
    entities = LOCAL.entities(tmp_path)
    assert entities["#extract"]["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in entities["#extract"]
    load = entities["#load"]
    assert load["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert load["error"] == (
        "The models do not compute the same: 1 output compared."
        " max_abs 0.5, max_rel 0.25, tensor logits:0, tolerance 0.0001, exit_code 53"
    )
    assert entities["#extract"]["description"].startswith("By an earlier run")


def test_a_run_in_environments(tmp_path):
    entities = LOCAL.entities(tmp_path)
    assert "containerImage" not in entities["#load"]
    assert entities["#load"]["instrument"] == {"@id": "#stage_load"}
    stage = entities["#stage_load"]
    assert stage["softwareVersion"] == "0.1.0"
    assert references(stage["softwareRequirements"]) == [
        "https://www.python.org/#3.11.7",
        "https://pypi.org/project/torch/2.13.0/#cpu",
        "#environment-load",
    ]
    torch = entities["https://pypi.org/project/torch/2.13.0/#cpu"]
    assert (torch["name"], torch["softwareVersion"]) == ("torch", "2.13.0+cpu")
    environment = entities["#environment-load"]
    assert environment["name"] == "Python environment of requirements-load-cpu.txt"
    assert environment["softwareVersion"] == f"sha256:{'e' * 64}"
    # The lock among the files has another hash.
    assert "url" not in environment
    names = references(environment["softwareRequirements"])
    assert "https://pypi.org/project/torch/2.13.0/#cpu" in names


def test_the_lock_of_an_environment_is_found_by_its_hash(tmp_path):
    name = "program/docker/requirements-load-cpu.txt"
    (lock,) = [one for one in LOCAL.files() if one.path == name]
    manifest = {**LOCAL.manifest}
    used = {**manifest["load"]["environment"], "lock_sha256": lock.sha256}
    manifest["load"] = {**manifest["load"], "environment": used}
    entities = replace(LOCAL, manifest=manifest).entities(tmp_path)
    assert entities["#environment-load"]["url"] == {"@id": name}


def test_stage_2_alone_in_an_environment_of_the_user(tmp_path):
    entities = EXPORT.entities(tmp_path)
    assert references(entities["#load"]["object"])[:2] == ["result/export/", "given/model/"]
    assert entities["#environment-load"]["name"] == "Python environment of the user"
    assert entities["./"]["name"].startswith("export, converted")


def test_the_program_and_its_source(tmp_path):
    entities = DOCKER.entities(tmp_path)
    program = entities["#tf1-to-torch"]
    assert (program["softwareVersion"], program["url"]) == ("0.1.0", {"@id": "program/"})
    source = entities["program/"]
    assert source["@type"] == ["Dataset", "SoftwareSourceCode"]
    assert (source["version"], source["targetProduct"]) == ("0.1.0", {"@id": "#tf1-to-torch"})
    assert entities["code/"]["@type"] == ["Dataset", "SoftwareSourceCode"]
    assert "url" not in EXPORT.entities(tmp_path)["#tf1-to-torch"]


def test_a_run_that_took_place(machine):
    run = machine.run(machine.checkpoint(), "--model", "unet")
    assert run.returncode == 0, run.stderr
    result = RecordedRun.read(machine.folder / "ckpt-torch")
    files = [
        FileFact(f"result/{one['name']}", one["size_bytes"], one["sha256"]) for one in result.files
    ]
    graph = json.loads(crate_metadata(result, files, ArchiveFacts("2026-11-26")))["@graph"]
    entities = {one["@id"]: one for one in graph}
    for stage in ("extract", "load"):
        record, action = result.manifest[stage], entities[f"#{stage}"]
        assert (action["startTime"], action["endTime"]) == (record["started"], record["ended"])
        assert action["description"] == shlex.join(record["argv"])
        environment = entities[f"#environment-{stage}"]
        assert environment["name"] == f"Python environment of {record['environment']['lock']}"
    told = {*references(entities["#extract"]["result"]), *references(entities["#load"]["result"])}
    assert told == {one.path for one in files}
