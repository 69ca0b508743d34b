"""Arguments of a user's factory on the command line: what is JSON, what is text, what is wrong."""

from __future__ import annotations

import json

import click
import pytest

from orchestration.model_arguments import merged, model_argument, model_arguments_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("classes=3", ("classes", 3)),
        ("rate=1e-3", ("rate", 1e-3)),
        ("widths=[8,16]", ("widths", [8, 16])),
        ("head=null", ("head", None)),
        ("flag=true", ("flag", True)),
        # Python's word is no JSON.
        ("flag=True", ("flag", "True")),
        ("name=unet", ("name", "unet")),
        ('name="3"', ("name", "3")),
        ("formula=a=b", ("formula", "a=b")),
        ("empty=", ("empty", "")),
        ('options={"a": [1, {}]}', ("options", {"a": [1, {}]})),
        ("cut=[8,", ("cut", "[8,")),
        # Neither is JSON, and no file of this project could hold them.
        ("bound=NaN", ("bound", "NaN")),
        ("bound=1e999", ("bound", "1e999")),
    ],
)
def test_an_argument(text, expected):
    name, value = model_argument(text)
    assert (name, value, type(value)) == (*expected, type(expected[1]))


@pytest.mark.parametrize("text", ["classes", "=3", "two words=3", "a.b=3", "x=\udcff"])
def test_what_is_no_argument(text):
    with pytest.raises(click.BadParameter):
        model_argument(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("[3]", "no JSON object", id="list"),
        pytest.param("{'a': 1}", "holds no JSON: ", id="python"),
        pytest.param('{"a b": 1}', "no JSON object of argument names", id="name"),
        pytest.param('{"a": Infinity}', "Infinity is no number of JSON", id="infinity"),
    ],
)
def test_a_file_that_holds_no_arguments(tmp_path, content, message):
    path = tmp_path / "arguments.json"
    path.write_text(content)
    with pytest.raises(click.BadParameter, match=message):
        model_arguments_file(str(path))


def test_an_argument_overrules_the_file_key_by_key(tmp_path):
    path = tmp_path / "arguments.json"
    path.write_text('{"classes": 3, "widths": [8, 16]}')
    values = model_arguments_file(str(path))
    assert merged(values, [("classes", 4), ("name", "a")]) == {
        "classes": 4,
        "widths": [8, 16],
        "name": "a",
    }
    assert merged(None, []) == {}
    with pytest.raises(click.BadParameter, match="classes was given twice"):
        merged(None, [("classes", 3), ("classes", 4)])


def test_arguments_reach_the_manifest_and_are_part_of_what_was_asked(machine):
    machine.checkpoint()
    command = ["ckpt", "--model", "unet", "--model-arg", "classes=3", "--model-arg", "name=a"]
    assert machine.run(*command).returncode == 0
    manifest = json.loads((machine.folder / "ckpt-torch" / "manifest.json").read_text())
    assert manifest["request"]["load"]["model_args"] == {"classes": 3, "name": "a"}
    assert "classes=3" in manifest["argv"]
    assert "nothing to do" in machine.run(*command).stdout
    other = machine.run(*command[:-1], "name=b")
    assert other.returncode == 11
    assert "other model, device, options, version or image of stage 2" in other.stderr
