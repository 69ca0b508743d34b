"""The commands of docs/batch.md, in their order, on checkpoints at the places that it names."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREFIX = "python orchestrate.py "
EVERY_ITEM_HAS_ENDED = (0, 3)


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(PAGE) if found == language]


def run(command: str, folder: Path) -> str:
    assert command.startswith(PREFIX)
    words = shlex.split(command.removeprefix(PREFIX))
    finished = subprocess.run(
        [sys.executable, REPOSITORY / "orchestrate.py", *words, "--runtime", "local"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.fspath(folder)},
    )
    assert finished.returncode in EVERY_ITEM_HAS_ENDED, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.slow
def test_the_page(tmp_path: Path, zoo: Callable[[str], Path]) -> None:
    checkpoint = zoo("upconvcat")
    [items] = blocks("csv")
    (tmp_path / "models.csv").write_text(items, encoding="utf-8")
    for row in csv.DictReader(items.splitlines()):
        place = tmp_path / row["checkpoint"]
        if not place.suffix:
            shutil.copytree(checkpoint, place)
        else:
            place.parent.mkdir(parents=True)
            place.write_bytes(b"not a frozen graph")
    # A factory that is not there: the page's second row fails, and tells why.
    (tmp_path / "nets.py").write_text("def Other(): ...\n", encoding="utf-8")
    said = [run(line, tmp_path) for body in blocks("sh") for line in body.splitlines() if line]
    results = {path.parent.name for path in (tmp_path / "converted").glob("*/manifest.json")}
    # "ann" of the file, and both of the glob.
    assert len(results) == 3
    assert "ann" in results
    assert "UnknownModel" in said[0] + said[-1]
    assert "NotTensorFlow" in said[0] + said[-1]
