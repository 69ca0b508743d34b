"""Options and marks of all tests. Runs on CPython 3.7 too, where the tests of stage_extract run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

RUN_DOCKER = "--run-docker"
CORPUS = "--corpus"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        RUN_DOCKER,
        action="store_true",
        help="start real containers; needs an engine, and both images built",
    )
    parser.addoption(
        CORPUS,
        type=Path,
        default=Path(__file__).resolve().parents[2] / "shared" / "corpus",
        metavar="FOLDER",
        help="checkpoints of other people's, which the repository does not hold",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Continuous integration has an engine: what cannot run there has failed.
    if config.getoption(RUN_DOCKER) or os.environ.get("CI") == "true":
        return
    skip = pytest.mark.skip(reason=f"starts real containers: pass {RUN_DOCKER}")
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def corpus_item(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """`corpus_item(name)`: the folder of a collected checkpoint; skips where it is absent."""
    corpus = pytestconfig.getoption(CORPUS)

    def find(name: str) -> Path:
        folder = corpus / name
        if not folder.is_dir():
            pytest.skip(f"no collected checkpoint {folder}: pass {CORPUS}")
        return folder

    return find
