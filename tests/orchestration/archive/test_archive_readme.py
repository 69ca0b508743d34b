"""README.md of a bag: its program reads what it says, and what it says is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.archive.made_result import Made, contents, make_result

SMALL = "--without-program"
MOST_LINES = 20
VERDICTS: list[Any] = [
    pytest.param("proven", "**Proven**", "1e-06 in logits:0, and 0.0001 was", id="proven"),
    pytest.param("failed", "**Not proven**", "1e-06 in logits:0, and 0.0001 was", id="failed"),
    pytest.param("unproven", "were not compared by running", "", id="unproven"),
]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_result(tmp_path)


def readme(made: Made, *arguments: str | Path) -> str:
    run = made.archive("x.bag", SMALL, *arguments)
    assert run.returncode == 0, run.stderr
    return (made.folder / "x.bag" / "README.md").read_text(encoding="utf-8")


def test_its_program_reads_a_file_with_nothing_but_python(made: Made, tmp_path: Path) -> None:
    text = readme(made)
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(program.splitlines()) <= MOST_LINES
    assert max(map(len, program.splitlines())) < 100
    assert set(re.findall(r"^import (.*)$", program, re.MULTILINE)) == {"json, struct, sys"}
    (tmp_path / "read.py").write_text(program, encoding="ascii")
    run = subprocess.run(
        # Neither packages nor variables of this Python.
        [sys.executable, "-I", "-S", "read.py", "x.bag/data/result/model.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "w [2, 3] [1.0, -2.5, 3.25]\n"


def test_its_commands_find_a_change(made: Made, tmp_path: Path) -> None:
    text = readme(made)
    commands = re.findall(r"^    (sha\d+sum .*)$", text, re.MULTILINE)
    assert len(commands) == 2

    def codes() -> list[int]:
        runs = [
            subprocess.run(command.split(), cwd=tmp_path / "x.bag", check=False)
            for command in commands
        ]
        return [run.returncode for run in runs]

    assert codes() == [0, 0]
    (tmp_path / "x.bag" / "data" / "result" / "config.json").write_bytes(b"changed")
    assert codes() == [1, 0]
    (tmp_path / "x.bag" / "bag-info.txt").write_bytes(b"changed")
    assert codes() == [1, 1]


def test_its_table_counts_what_lies_there(made: Made, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_bytes(b"x" * 2000)
    text = readme(made, "--with-code", code, "--license", "CC-BY-4.0")
    rows = re.findall(r"^\| `data/(\w+)/` \| .* \| ([\d,]+) \| (.*) \|$", text, re.MULTILINE)
    data = tmp_path / "x.bag" / "data"
    expected = []
    for folder in ("original", "result", "code"):
        files = contents(data / folder)
        size_bytes = sum(map(len, files.values()))
        size = f"{size_bytes} B" if size_bytes < 1000 else f"{size_bytes / 1000:.3g} kB"
        expected.append((folder, str(len(files)), size))
    assert rows == expected
    listed = re.findall(r"^- `(data/result/[^`]+)`", text, re.MULTILINE)
    assert len(listed) == 7
    assert all((tmp_path / "x.bag" / path).is_file() for path in listed)


@pytest.mark.parametrize(
    ("model", "packages", "install", "verify"),
    [
        pytest.param("unet", False, "install --require-hashes", "verify .", id="online"),
        pytest.param(
            "unet",
            True,
            "install --no-index --find-links data/wheelhouse --require-hashes",
            "verify .",
            id="with-packages",
        ),
        pytest.param(
            "net.py:Net", False, "install --require-hashes", "verify . --trust-code", id="own-code"
        ),
    ],
)
def test_its_commands_prove_it_again(
    made: Made, tmp_path: Path, model: str, packages: bool, install: str, verify: str
) -> None:
    file = made.result / "manifest.json"
    manifest = json.loads(file.read_bytes())
    manifest["settings"]["load"]["model"] = model
    file.write_text(json.dumps(manifest), encoding="ascii")
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "a-1-py3-none-any.whl").write_bytes(b"a")
    given = ["--with-wheelhouse", tmp_path / "packages"] if packages else []
    run = made.archive("x.bag", *given)
    assert run.returncode == 0, run.stderr
    text = (tmp_path / "x.bag" / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Is it right?\n")[2].partition("\n## ")[0]
    python = "~/tf1-to-torch/bin/python"
    assert re.findall(r"^    (.*)$", section, re.MULTILINE) == [
        "python3 -m venv ~/tf1-to-torch",
        f"{python} -m pip {install} --requirement data/program/requirements.txt",
        f"{python} data/program/orchestrate.py {verify}",
    ]
    assert ("for Python" in section) == packages


@pytest.mark.parametrize(("state", "begin", "end"), VERDICTS)
def test_the_verdict_is_said(made: Made, state: str, begin: str, end: str) -> None:
    file = made.result / "manifest.json"
    manifest = json.loads(file.read_bytes())
    manifest["verdict"]["state"] = state
    if not end:
        manifest["verdict"]["worst"] = None
    file.write_text(json.dumps(manifest), encoding="ascii")
    text = readme(made)
    assert begin in text
    assert end in text


def test_what_is_not_there_is_not_told_of(made: Made, tmp_path: Path) -> None:
    text = readme(made)
    assert "It is not signed" in text
    assert "none was stated" in text
    for word in ("Creators", "docker load", "data/code", "data/program", "left out", "renamed"):
        assert word not in text


def test_a_name_cannot_dress_up_as_text(tmp_path: Path) -> None:
    originals = {"m.index": b"i", "evil\x1b[31m\u202ename": b"x"}
    made = make_result(tmp_path, originals)
    text = readme(made, "--creator", "A | <a@b.org>")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "A \\| (a@b.org)" in text


def test_a_difference_that_is_no_number_is_said(made: Made) -> None:
    file = made.result / "manifest.json"
    manifest = json.loads(file.read_bytes())
    worst = {"tensor": "logits:0", "max_abs": None, "max_rel": None}
    manifest["verdict"].update(state="failed", worst=worst)
    file.write_text(json.dumps(manifest), encoding="ascii")
    assert "was not a number in logits:0" in " ".join(readme(made).split())
