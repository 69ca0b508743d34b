"""Options and marks of all tests. Runs on CPython 3.7 too, where the tests of stage_extract run."""

from __future__ import annotations

import os

import pytest

RUN_DOCKER = "--run-docker"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        RUN_DOCKER,
        action="store_true",
        help="start real containers; needs an engine, and both images built",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Continuous integration has an engine: what cannot run there has failed.
    if config.getoption(RUN_DOCKER) or os.environ.get("CI") == "true":
        return
    skip = pytest.mark.skip(reason=f"starts real containers: pass {RUN_DOCKER}")
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(skip)
