"""The schema of manifests describes every field, takes what is written, and refuses what is not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestration.manifest import FORMAT, VERSION
from orchestration.recorded_run import RecordedRun
from tests.manifest_schema import checked_manifest, faults, schema

COMMANDS = {
    "convert": ["ckpt", "--model", "unet", "--seed", "7"],
    "extract": ["extract", "ckpt", "--step", "3"],
    "load": ["load", "ckpt-export", "--model", "failed", "--allow-missing", "a.*"],
}


def test_it_is_a_schema_of_this_version():
    Draft202012Validator.check_schema(schema())
    properties = schema()["properties"]
    assert (properties["format"]["const"], properties["version"]["const"]) == (FORMAT, VERSION)


def undescribed(node: Any, place: str) -> Iterator[str]:
    """Places of fields that nothing says a word of, and of objects without a title."""
    if isinstance(node, list):
        for index, inner in enumerate(node):
            yield from undescribed(inner, f"{place}[{index}]")
    if not isinstance(node, dict):
        return
    if node.get("additionalProperties") is False and "title" not in node and "oneOf" not in node:
        yield place
    for name, field in node.get("properties", {}).items():
        is_narrowed = place.split(".")[-1].startswith(("oneOf", "process"))
        if isinstance(field, dict) and not {"description", "$ref", "const"} & set(field):
            yield from () if is_narrowed else [f"{place}.{name}"]
    for key, inner in node.items():
        yield from undescribed(inner, f"{place}.{key}")


def test_every_field_is_described():
    found = schema()
    assert list(undescribed(found, "schema")) == []
    assert all({"title", "description"} <= set(one) for one in found["$defs"].values())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_what_it_describes(machine, command):
    machine.checkpoint()
    if command == "load":
        machine.run(*COMMANDS["extract"])
    machine.run(*COMMANDS[command])
    out = machine.folder / ("ckpt-export" if command == "extract" else "ckpt-torch")
    if command == "load":
        out = machine.folder / "ckpt-export-torch"
    manifest = checked_manifest(out)
    assert manifest["command"] == command
    assert RecordedRun.read(out).command == command


@pytest.fixture(scope="module")
def written(shared_machine) -> dict[str, Any]:
    shared_machine.checkpoint()
    shared_machine.run("ckpt", "--model", "unet")
    return checked_manifest(shared_machine.folder / "ckpt-torch")


@pytest.fixture
def manifest(written) -> dict[str, Any]:
    return copy.deepcopy(written)


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all fields of this program's own making; those of the stages' results are open."""
    if before in {("extract", "result"), ("load", "result"), ("request",), ("load", "device")}:
        return
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*before, key)
        yield from places(inner, (*before, key))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


# Tables by name, in which an entry more or less is as right.
OPEN = ("packages", "labels", "versions", "timings_s", "locks", "model_args", "input_shapes")


def test_no_field_can_be_left_out_or_added_or_have_another_type(manifest):
    checked = 0
    for place in places(manifest):
        holder = at(manifest, place[:-1])
        if not isinstance(holder, dict) or set(OPEN) & set(place[:-1]):
            continue
        edited = copy.deepcopy(manifest)
        del at(edited, place[:-1])[place[-1]]
        assert faults(edited), f"{place} was left out"
        edited = copy.deepcopy(manifest)
        at(edited, place[:-1])[place[-1]] = {"surprise": [None]}
        if place[-1] not in ("model_args", "device"):
            assert faults(edited), f"{place} was another"
        edited = copy.deepcopy(manifest)
        at(edited, place[:-1])["surprise"] = 1
        assert faults(edited), f"beside {place} is another"
        checked += 1
    assert checked > 100


EDITS = [
    pytest.param(("version",), 1, id="version"),
    pytest.param(("command",), "load", id="command-of-other-settings"),
    pytest.param(("settings", "extract", "reader"), "auto", id="reader-not-chosen"),
    pytest.param(("settings", "runtime", "name"), "auto", id="runtime-not-chosen"),
    pytest.param(("settings", "checkpoint"), "ckpt", id="relative-path"),
    pytest.param(("settings", "load", "tolerance"), 1, id="tolerance"),
    pytest.param(("inputs",), [], id="read-nothing"),
    pytest.param(("inputs", 0, "role"), "secret", id="role"),
    pytest.param(("inputs", 0, "files", 0, "name"), "a/../../b", id="name-leads-out"),
    pytest.param(("files", 0, "name"), "/etc/passwd", id="name-from-the-root"),
    pytest.param(("files", 0, "sha256"), "0" * 63, id="hash"),
    pytest.param(("files", 0, "size_bytes"), 1.5, id="size"),
    pytest.param(("started",), "2026-11-26 11:00:00", id="time"),
    pytest.param(("verdict", "exit_code"), 2, id="exit-code"),
    pytest.param(("load", "argv"), [], id="argv"),
    pytest.param(("load", "environment"), None, id="neither-image-nor-environment"),
]


@pytest.mark.parametrize(("place", "value"), EDITS)
def test_wrong_values_are_found(manifest, place, value):
    at(manifest, place[:-1])[place[-1]] = value
    assert faults(manifest)
