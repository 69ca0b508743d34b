"""Load images with a user's packages, and a user's own: found, built, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration import images
from orchestration.conversation import Conversation
from orchestration.engine import Engine
from orchestration.engine_access import open_engine
from orchestration.errors import ImageMissing, ImageUnusable, StageFailed
from orchestration.image_sources import ImageSources
from orchestration.images import build_images
from orchestration.own_images import ExtendedSources, find_extended_image, find_own_image
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.docker import DockerRuntime
from orchestration.settings import (
    DEFAULT_LOAD_BASE_IMAGE,
    BuildSettings,
    LoadOptions,
    RuntimeOptions,
)
from orchestration.stage_specs import check_job, load_spec
from tests.orchestration.test_environments import make_wheel
from tests.orchestration.test_images import LOAD_BASE, FakeEngine

SETTINGS = BuildSettings(stages=("load",), load_base_image=LOAD_BASE)
NET = """
from torch import nn


class Net(nn.Linear):
    def __init__(self, width):
        super().__init__(3, width)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    fake.add(LOAD_BASE)
    monkeypatch.setattr(images, "open_engine", lambda: fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return fake


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "my requirements.txt"
    path.write_text("ownpackage==1.0\n")
    return path


def with_packages(requirements: Path, **changes: Any) -> BuildSettings:
    values = {"stages": ("load",), "load_base_image": LOAD_BASE, "requirements": requirements}
    return BuildSettings(**{**values, **changes})


def test_the_packages_come_on_top_of_the_load_image_once(
    engine: FakeEngine, requirements: Path
) -> None:
    lines: list[str] = []
    load, extended = build_images(with_packages(requirements), lines.append)
    arguments, names = engine.builds[1]
    assert (arguments["tag"], arguments["dockerfile"]) == (
        extended.name,
        "docker/Dockerfile.load-packages",
    )
    assert extended.name.startswith("tf1-to-torch/load-packages:")
    assert arguments["buildargs"]["BASE_IMAGE"] == load.digest
    assert arguments["buildargs"]["BASE_NAME"] == load.name
    assert arguments["buildargs"]["BASE_DIGEST"] == load.digest
    # A bundle of certificates may follow, where this machine names one.
    assert names[:4] == [
        "base-image",
        "constraints.txt",
        "docker/Dockerfile.load-packages",
        "requirements.txt",
    ]
    base = ImageSources.read("load", "cpu")
    found = find_extended_image(engine, base, engine.images[load.name], requirements)
    assert found == (extended.name, engine.images[extended.name])
    build_images(with_packages(requirements), lines.append)
    assert len(engine.builds) == 2
    assert lines[-1] == f"{extended.name} is there already, with the packages of {requirements}"


@pytest.mark.parametrize("changed", ["base", "requirements"])
def test_what_makes_another_image(engine: FakeEngine, requirements: Path, changed: str) -> None:
    base = ImageSources.read("load", "cpu")
    before = ExtendedSources.of(base, "sha256:1", requirements).reference
    assert ExtendedSources.of(base, "sha256:1", requirements).reference == before
    if changed == "requirements":
        requirements.write_text("ownpackage==2.0\n")
    digest = "sha256:2" if changed == "base" else "sha256:1"
    assert ExtendedSources.of(base, digest, requirements).reference != before


@pytest.mark.parametrize(("variant", "option"), [("cpu", ""), ("cuda", " --torch cuda")])
def test_a_missing_one_is_asked_for_with_its_command(
    engine: FakeEngine, requirements: Path, variant: Any, option: str
) -> None:
    base = ImageSources.read("load", variant)
    with pytest.raises(ImageMissing) as caught:
        find_extended_image(engine, base, engine.add("base"), requirements)
    command = f"build --stage load{option} --requirements '{requirements}'"
    assert f"`python orchestrate.py {command}`" in caught.value.remedy
    assert engine.builds == []


def test_an_image_of_ones_own_that_is_not_there(engine: FakeEngine) -> None:
    with pytest.raises(ImageUnusable, match="mine:1 is not on this machine"):
        find_own_image(engine, "load", "mine:1")


@pytest.fixture
def real() -> Iterator[Engine]:
    engine = open_engine()
    yield engine
    engine.close()


def ask(runtime: DockerRuntime, model: str, mounts: tuple[Mount, ...] = ()) -> dict[str, Any]:
    """The answer of stage 2 to a look at its options."""
    process = runtime.start(StageSpec("load", mounts, device="cpu"), lambda _: None)
    try:
        options = {"model": model, "model_args": {"width": 4}, "device": "cpu"}
        process.send({"job": "check", "command": "check", "options": options})
        process.close_input()
        return list(process.events())[-1]
    finally:
        process.kill()


@pytest.mark.docker
def test_real_packages(real: Engine, requirements: Path, tmp_path: Path) -> None:
    """Without network, from a wheel made here; the image holds nothing of its making."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "ownpackage", NET)
    options = RuntimeOptions(device="cpu", requirements=requirements)
    base = DockerRuntime(RuntimeOptions(device="cpu"))
    base.prepare(["load"], lambda _: None)
    assert ask(base, "ownpackage:Net")["error"]["class"] == "UnknownModel"
    settings = with_packages(requirements, stages=(), wheelhouse=wheels)
    (built,) = build_images(settings, lambda _: None)
    runtime = DockerRuntime(options)
    runtime.prepare(["load"], lambda _: None)
    assert runtime.identity("load")["digest"] == built.digest
    assert ask(runtime, "ownpackage:Net")["event"] == "done"
    history, configuration = real.describe_image(built.digest)
    assert configuration["User"] == "65534:65534"
    for word in ("PIP_", "wheelhouse", "/build"):
        assert word not in history.split("COPY dir")[0]
    # The image with packages is one of the user's own, too.
    own = DockerRuntime(RuntimeOptions(device="cpu", load_image=built.name))
    said: list[str] = []
    own.prepare(["load"], said.append)
    assert said[0].startswith(f"Stage 2 runs in {built.name}, with torch 2.")
    assert ask(own, "ownpackage:Net")["event"] == "done"


@pytest.mark.docker
def test_real_image_that_is_no_stage(real: Engine) -> None:
    """A Python reads its input to the end, and ends without a word."""
    assert real.find_image(DEFAULT_LOAD_BASE_IMAGE) is not None
    runtime = DockerRuntime(RuntimeOptions(device="cpu", load_image=DEFAULT_LOAD_BASE_IMAGE))
    with pytest.raises(ImageUnusable, match="Stage 2 does not start in python:3"):
        runtime.prepare(["load"], lambda _: None)


PACKAGE_OF_TWO = {
    "mypkg/__init__.py": "",
    "mypkg/nets.py": "from .layers import Layer\n\n\ndef net(width):\n    return Layer(3, width)\n",
    "mypkg/layers.py": "from torch.nn import Linear as Layer\n",
    "mypkg/broken.py": "from . import gone\n",
}


@pytest.mark.docker
def test_real_package_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen in the container, and its traceback names this machine's files."""
    project = tmp_path / "pro ject"
    for name, source in PACKAGE_OF_TWO.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(source)
    monkeypatch.chdir(project)
    folders = (tmp_path / "export", tmp_path / "out")
    for folder in folders:
        folder.mkdir()
    options = RuntimeOptions(device="cpu")
    runtime = DockerRuntime(options)
    runtime.prepare(["load"], lambda _: None)

    def look_at(model: str) -> None:
        load = LoadOptions(model, {"width": 4}, model_folder=project)
        with Conversation(runtime, lambda *_: None, lambda *_: None) as talk:
            worker = talk.start(load_spec(*folders, load, options, ()))
            talk.post("load", check_job(worker.process, load, "cpu"), is_last=True)
            talk.wait_for("load", "check")

    look_at("mypkg.nets:net")
    with pytest.raises(StageFailed) as raised:
        look_at("mypkg.broken:net")
    assert raised.value.class_name == "FactoryFailed"
    place = f'  File "{project}/mypkg/broken.py", line 1, in <module>'
    assert raised.value.user_traceback[1] == place
