"""Images built twice, every layer anew: the same files, by every engine that builds.

By this project's own Dockerfiles, with a few packages of its locks: what pip and Python do is the
same for all of them. docker/README.md says what is not equal, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import pytest

from orchestration.collecting import collect, wanted_packages
from orchestration.errors import OrchestrationError
from orchestration.image_sources import SOURCE_DATE, ImageSources
from orchestration.image_store import ImageDetails, ImageSource
from orchestration.images import build_arguments, find_image, open_store
from orchestration.own_images import ExtendedSources
from orchestration.package_sources import PackageSources, from_wheelhouse, sources_of_own
from orchestration.pip_settings import PipSettings
from orchestration.runtimes.base import Stage
from orchestration.settings import BuildSettings, ImageRuntimeName
from orchestration.tar_stream import PieceReader
from tests.podman_people import absent

pytestmark = [pytest.mark.docker, pytest.mark.slow]
# gast is published as source only, setuptools and wheel build it; grpcio holds machine code, and so
# does markupsafe.
KEPT: Mapping[Stage, str] = {
    "extract": "gast|setuptools|wheel|grpcio",
    "load": "jinja2|markupsafe|setuptools",
}
TIME_S = 1234567890


@dataclass
class Builder:
    """An engine, and the images that were built by it.

    Attributes:
        engine: the engine.
        tags: of the images, which go in the end.
    """

    engine: ImageSource
    tags: list[str] = field(default_factory=list)

    def build(
        self,
        sources: ImageSources,
        base: ImageDetails,
        packages: PackageSources,
        environment: Mapping[str, str],
    ) -> str:
        """Build an image, every layer anew; returns its id."""
        arguments = build_arguments(sources, "base", base, packages, True, environment)
        self.tags.append(f"tf1-to-torch-test/twice:{os.urandom(6).hex()}")
        context = sources.context(packages.files)
        for _ in self.engine.build_image(context, {**arguments, "tag": self.tags[-1]}):
            pass
        details = self.engine.find_image(self.tags[-1])
        assert details is not None
        return details.image_id

    def layers(self, image_id: str) -> list[str]:
        """Hashes of an image's layers, from the lowest one."""
        form = "{{json .RootFS.Layers}}"
        return list(json.loads(self.command("image", "inspect", f"--format={form}", image_id)))

    def files(self, image_id: str) -> list[dict[str, Any]]:
        """For each layer of an image name -> everything about a file."""
        found: dict[str, dict[str, Any]] = {}
        order: list[str] = []
        stream: Any = PieceReader(self.engine.save_image(image_id))
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None and member.name.endswith(".tar"):
                    found[member.name] = files_of(content)
                elif content is not None and member.name == "manifest.json":
                    order = json.load(content)[0]["Layers"]
        return [found[name] for name in order]

    def command(self, *arguments: str) -> str:
        """What a command prints; Podman fails in a folder that is not its user's."""
        argv = [self.engine.program, *arguments]
        return subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=["docker", "podman"])
def builder(request: pytest.FixtureRequest) -> Iterator[Builder]:
    name: ImageRuntimeName = request.param
    if shutil.which(name) is None:
        absent(f"there is no {name} on this machine")
    store: Any = open_store(name)
    made = Builder(store)
    yield made
    for tag in made.tags:
        made.command("rmi", "--force", tag)
    store.close()


def files_of(layer: IO[bytes]) -> dict[str, Any]:
    """Everything that a layer says of each file."""
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=layer, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            digest = "" if content is None else hashlib.sha256(content.read()).hexdigest()
            about = member.get_info() | {"pax": member.pax_headers, "sha256": digest}
            found[member.name] = {**about, "chksum": None}
    return found


@pytest.mark.parametrize("builder", ["docker"], indirect=True)
@pytest.mark.parametrize("stage", ["extract", "load"])
def test_a_stage_s_image(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    whole = ImageSources.read(stage, "cpu")
    entries = re.split(r"^(?=[a-z])", whole.files[whole.lock].decode(), flags=re.MULTILINE)
    lock = "".join(entry for entry in entries if re.match(f"({KEPT[stage]})==", entry))
    sources = replace(whole, files={**whole.files, whole.lock: lock.encode()})
    settings = BuildSettings()
    is_first = stage == "extract"
    base = builder.engine.find_image(
        settings.extract_base_image if is_first else settings.load_base_image
    )
    if base is None:
        absent("there is no base image on this machine")
        return
    wanted = replace(wanted_packages("cpu")[0 if is_first else 1], lock=tmp_path / "lock.txt")
    wanted.lock.write_text(lock, encoding="utf-8")
    try:
        collect(tmp_path / "wheels", [wanted], "", print)
    except OrchestrationError as error:
        absent(str(error))
    packages = from_wheelhouse(lock, tmp_path / "wheels")
    first = builder.build(sources, base, packages, {})
    second = builder.build(sources, base, packages, {})
    below = len(builder.layers(base.image_id))
    one, other = (builder.files(image_id)[below:] for image_id in (first, second))
    for layer, again in zip(one, other, strict=True):
        names = layer.keys() | again.keys()
        assert {name for name in names if layer.get(name) != again.get(name)} == set()
        assert list(layer) == list(again)
    assert builder.layers(first) == builder.layers(second)
    files = {name: about for layer in one for name, about in layer.items()}
    assert f"stage/stage_{stage}/__main__.py" in files
    assert any("site-packages/setuptools/" in name for name in files)
    assert {about["mtime"] for about in files.values()} == {0}
    sources_of_modules = [name for name in files if name.endswith(".py")]
    assert sum(name.endswith(".pyc") for name in files) > 0.9 * len(sources_of_modules)
    assert {name.split("/")[0] for name in files} == {"venv", "stage"}


def test_an_image_with_packages_of_a_user_s(builder: Builder, tmp_path: Path) -> None:
    try:
        base_sources, base = find_image(builder.engine, "load")
    except OrchestrationError as error:
        absent(str(error))
        return
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("own-package\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "own_package-1.0-py3-none-any.whl", "w") as wheel:
        about = "own_package-1.0.dist-info"
        wheel.writestr("own_package/__init__.py", "from own_package import words\n")
        wheel.writestr("own_package/words.py", "WORDS = {'a', 'b', 'c', 'd'}\nX = 'a' in {'a'}\n")
        # Files of projects' own templates are not what their names say.
        wheel.writestr("own_package/template.py", "import {{ name }}\n")
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    sources = ExtendedSources.of(base_sources, base.image_id, requirements)
    lock = base_sources.files[base_sources.lock].decode()
    packages = sources_of_own(lock, tmp_path, PipSettings(), {})
    fixed = {SOURCE_DATE: str(TIME_S)}
    first = builder.build(sources, base, packages, fixed)
    second = builder.build(sources, base, packages, fixed)
    assert builder.layers(first) == builder.layers(second)
    assert builder.layers(first)[:-1] == builder.layers(base.image_id)
    # Docker's own builder tells the time of the build, whatever it is told.
    assert (first == second) == (builder.engine.program == "podman")
    program = "import own_package, os; print(os.stat(own_package.__cached__).st_mtime)"
    python = ("--entrypoint", "/venv/bin/python3", first, "-c", program)
    assert float(builder.command("run", "--rm", "--network=none", *python)) == TIME_S
