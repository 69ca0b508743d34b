"""Values of options, right and wrong."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from orchestration import option_types


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("8g", 8 << 30), ("512m", 512 << 20), ("1.5G", 3 << 29), ("64 MiB", 64 << 20), ("1000", 1000)],
)
def test_memory_size(text, size_bytes):
    assert option_types.memory_size(text) == size_bytes


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:1"])
def test_device(text):
    assert option_types.device(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1,64,64,3", ("x", (1, 64, 64, 3))),
        ("net/x:0=2, 5", ("net/x:0", (2, 5))),
        ("odd=name:0=7", ("odd=name:0", (7,))),
        ("scalar=", ("scalar", ())),
    ],
)
def test_input_shape(text, expected):
    assert option_types.input_shape(text) == expected


def test_a_path_may_start_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert option_types.path("~/result") == Path("/home/ann/result")
    assert option_types.path("./~") == Path("~")
    assert option_types.path("") == Path()


def test_model(tmp_path):
    (tmp_path / "net.py").write_text("")
    assert option_types.model("unet") == "unet"
    assert option_types.model(f"{tmp_path}/net.py:Net") == f"{tmp_path}/net.py:Net"


def test_interpreter_of_an_environment(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/env")
    # The link is kept: resolved, it would lead to the Python that the environment was made from.
    assert option_types.interpreter(str(tmp_path)) == tmp_path / "bin" / "python"
    assert option_types.interpreter(f"{tmp_path}/bin/python") == tmp_path / "bin" / "python"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        pytest.param(option_types.memory_size, "8q", "'8q' is no size", id="size"),
        pytest.param(option_types.memory_size, "-1", "no size", id="negative-size"),
        pytest.param(option_types.device, "gpu", "'gpu' is no device", id="device"),
        pytest.param(option_types.device, "cuda:x", "no device", id="card"),
        pytest.param(option_types.input_shape, "1,2", "no shape", id="shape-without-name"),
        pytest.param(option_types.input_shape, "x=1,?", "no shape", id="unknown-size"),
        pytest.param(option_types.input_shape, "x=0", "no shape", id="size-of-zero"),
        pytest.param(option_types.model, "net.py", "no factory", id="file-without-factory"),
        pytest.param(option_types.model, "net.py:", "no factory", id="empty-factory"),
        pytest.param(option_types.model, "gone.py:Net", "does not exist", id="file-missing"),
        pytest.param(option_types.interpreter, "/gone", "neither", id="python-missing"),
    ],
)
def test_wrong_values_say_what_to_write(kind, text, message):
    with pytest.raises(click.BadParameter, match=message):
        kind(text)


def test_names_may_be_repeated_or_joined():
    assert option_types.split_names(("a:0,b:0", " c ", "")) == ("a:0", "b:0", "c")
    assert option_types.split_names((r"a\,b [1]:0, /_c %", r"\,")) == ("a,b [1]:0", "/_c %", ",")
