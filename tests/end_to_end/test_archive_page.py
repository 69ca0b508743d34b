"""The commands of docs/archive.md, in their order, on a checkpoint at the place that it names.

Images, all packages and a network are for `--with-images` and `--with-wheelhouse`; that line is
understood here, and run by tests of its own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import orchestrate

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "archive.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREFIX = "python orchestrate.py "
NEEDS_IMAGES = "--with-images"
# Of other programs: in the bag's folder.
INSIDE = ("sha256sum",)


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(PAGE) if found == language]


def commands() -> list[str]:
    return [line for body in blocks("sh") for line in body.splitlines() if line]


def argv_of(command: str) -> list[str]:
    """The command as a list; what runs a stage does so without containers."""
    if not command.startswith(PREFIX):
        return shlex.split(command)
    words = shlex.split(command.removeprefix(PREFIX))
    runs_stages = any(
        option.name == "runtime" for option in orchestrate.cli.commands[words[0]].params
    )
    more = ["--runtime", "local"] if runs_stages else []
    return [sys.executable, os.fspath(REPOSITORY / "orchestrate.py"), *words, *more]


def run(argv: list[str], folder: Path) -> str:
    programs = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        argv,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": programs},
    )
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def place(tmp_path: Path, zoo: Callable[[str], Path]) -> Path:
    """A folder with what the page names: a result, old code, a citation."""
    shutil.copytree(zoo("upconvcat"), tmp_path / "ckpt")
    (tmp_path / "old-repo").mkdir()
    (tmp_path / "old-repo" / "train.py").write_text("print('trained')\n", encoding="utf-8")
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\n", encoding="utf-8")
    run(argv_of(f"{PREFIX}convert ckpt/ --model unet --quiet"), tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_page(place: Path, load_python: Path) -> None:
    said = {}
    for command in commands():
        if NEEDS_IMAGES not in command:
            folder = place / "project.bag" if command.startswith(INSIDE) else place
            said[command] = run(argv_of(command), folder)
    verified = [text for command, text in said.items() if command.startswith(f"{PREFIX}verify")]
    assert all(text.startswith(("HOLDS", "{")) for text in verified)
    [answer] = [json.loads(text) for text in verified if text.startswith("{")]
    links = [verdict["link"] for verdict in answer["links"]]
    # The page's table has a row for each link, in their order, and one for what --rerun adds.
    table = re.findall(r"^\| `(\w+)` \| [A-Z]", PAGE, re.MULTILINE)
    assert [link for link in table if link != "rerun" or "rerun" in links] == links
    assert {"model.safetensors", "README.md"} <= set(os.listdir(place / "for-the-hub"))
    [sample] = blocks("python")
    sample += "\nprint(sum(parameter.numel() for parameter in model.parameters()))"
    environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
    counted = subprocess.run(
        [load_python, "-c", sample],
        cwd=place,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(counted.stdout) > 100


def test_the_tree_of_the_page_is_that_of_a_bag(place: Path) -> None:
    command = next(one for one in commands() if "--with-code" in one)
    run(argv_of(command), place)
    [tree] = [body for body in blocks("") if body.startswith("project.bag/")]
    bag = place / "full.bag"
    named = set(re.findall(r"[\w-]+\.(?:md|txt|json)", tree))
    assert {path.name for path in bag.iterdir() if path.is_file()} <= named
    below = {path.name for path in (bag / "data").iterdir()}
    assert below <= set(re.findall(r"([\w-]+)/", tree)) | named
    assert {"original", "result", "code", "program", "legal"} <= below


def test_the_line_with_images_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contained").mkdir()
    [command] = [one for one in commands() if NEEDS_IMAGES in one]
    given: list[dict[str, object]] = []
    archive = orchestrate.cli.commands["archive"]
    monkeypatch.setattr(archive, "callback", lambda **options: given.append(options))
    orchestrate.cli.main(shlex.split(command.removeprefix(PREFIX)), standalone_mode=False)
    assert [(one["with_images"], one["wheelhouse"]) for one in given] == [(True, "wheels/")]


def test_exit_codes_are_those_of_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"(\d+)\s`(\w+)`", PAGE)
    assert len(told) == 4
    for code, name in told:
        assert f"| {code} | {name} |" in readme
