"""Which runtime `auto` takes, and what it says about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.errors import FeatureUnavailable
from orchestration.runtimes import registry
from orchestration.runtimes.base import Availability
from orchestration.settings import RuntimeOptions


@pytest.fixture
def choose(monkeypatch):
    """Choose between two runtimes of which the first works or not."""

    def make(name: str, availability: Availability):
        return lambda options, environment: SimpleNamespace(
            name=name, availability=lambda: availability
        )

    def choose_with(options: RuntimeOptions, docker_works: bool = True):
        docker = Availability(docker_works, "Docker 20 answers" if docker_works else "No socket.")
        runtimes = {
            "docker": make("docker", docker),
            "local": make("local", Availability(True, "")),
        }
        monkeypatch.setattr(registry, "RUNTIMES", runtimes)
        said: list[str] = []
        return registry.choose_runtime(options, {}, said.append).name, said

    return choose_with


@pytest.mark.parametrize(
    ("options", "docker_works", "name", "said"),
    [
        pytest.param(
            RuntimeOptions(), True, "docker", ["Runtime: docker (Docker 20 answers)"], id="docker"
        ),
        pytest.param(
            RuntimeOptions(),
            False,
            "local",
            ["Runtime: local (not docker: No socket)"],
            id="no-docker",
        ),
        pytest.param(RuntimeOptions(name="docker"), False, "docker", [], id="asked-for-docker"),
        pytest.param(RuntimeOptions(name="local"), True, "local", [], id="asked-for-local"),
        pytest.param(
            RuntimeOptions(load_python=Path("/p")),
            True,
            "local",
            ["Runtime: local (--load-python was given)"],
            id="an-option-of-local",
        ),
        pytest.param(
            RuntimeOptions(load_image="mine"),
            False,
            "docker",
            ["Runtime: docker (--image-load was given)"],
            id="an-option-of-docker",
        ),
    ],
)
def test_choice(choose, options, docker_works, name, said):
    assert choose(options, docker_works) == (name, said)


@pytest.mark.parametrize(
    "options",
    [
        RuntimeOptions(name="docker", legacy_python=Path("/p")),
        RuntimeOptions(name="docker", load_python=Path("/p")),
        RuntimeOptions(name="docker", wheelhouse=Path("/w")),
    ],
    ids=["legacy-python", "load-python", "wheelhouse"],
)
def test_options_of_another_runtime_are_refused(choose, options):
    with pytest.raises(FeatureUnavailable, match="together with --runtime docker"):
        choose(options)


@pytest.mark.parametrize(
    ("options", "happened"),
    [
        pytest.param(
            RuntimeOptions(load_python=Path("/p"), requirements=Path("/r")),
            "--load-python and --requirements were given together",
            id="environment-and-packages",
        ),
        pytest.param(
            RuntimeOptions(load_image="mine", requirements=Path("/r")),
            "--image-load and --requirements were given together",
            id="image-and-packages",
        ),
        pytest.param(
            RuntimeOptions(load_image="mine", name="local"),
            "together with --runtime local",
            id="local",
        ),
        pytest.param(
            RuntimeOptions(load_image="mine", wheelhouse=Path("/w")),
            "together with --wheelhouse",
            id="wheels",
        ),
    ],
)
def test_two_sources_of_packages_are_refused(choose, options, happened):
    with pytest.raises(FeatureUnavailable, match=happened):
        choose(options)


@pytest.mark.parametrize(
    ("docker_works", "podman_works", "name"),
    [(True, True, "docker"), (False, True, "podman"), (False, False, "docker")],
)
def test_an_image_s_name_is_for_the_engine_that_works(
    monkeypatch, docker_works, podman_works, name
):
    def make(name: str, works: bool):
        runtime = SimpleNamespace(name=name, availability=lambda: Availability(works, ""))
        return lambda options, environment: runtime

    engines = {"docker": make("docker", docker_works), "podman": make("podman", podman_works)}
    monkeypatch.setattr(registry, "RUNTIMES", engines)
    chosen = registry.choose_runtime(RuntimeOptions(load_image="mine"), {}, lambda _: None)
    assert chosen.name == name


def test_every_runtime_of_the_registry_has_its_name():
    for name, factory in registry.RUNTIMES.items():
        assert factory(RuntimeOptions(), {}).name == name
