"""Images: what they are made from, when they are stale, what a build asks of the engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestration import images
from orchestration.engine_access import open_engine
from orchestration.errors import FeatureUnavailable, ImageBuildFailed, ImageMissing
from orchestration.image_records import recorded_images
from orchestration.image_sources import CONTRACT, ImageSources
from orchestration.image_store import ImageDetails
from orchestration.images import build_arguments, build_images, find_image
from orchestration.package_sources import PackageSources
from orchestration.podman_engine import build_command_line
from orchestration.run_paths import repository_folder
from orchestration.settings import BuildSettings

EXTRACT_BASE = "registry.example/python:3.7"
LOAD_BASE = "registry.example/python:3.11"
SETTINGS = BuildSettings(extract_base_image=EXTRACT_BASE, load_base_image=LOAD_BASE)


@dataclass
class FakeEngine:
    """An engine that keeps images in a dictionary and builds whatever it is asked to."""

    images: dict[str, ImageDetails] = field(default_factory=dict)
    registry: Sequence[str] = ()
    machine: str = "x86_64"
    builds: list[tuple[dict[str, Any], list[str]]] = field(default_factory=list)
    labels: Callable[[Mapping[str, Any]], dict[str, str]] = lambda arguments: {
        "tf1-to-torch.content": arguments["buildargs"]["CONTENT"],
        "tf1-to-torch.base": arguments["buildargs"]["BASE_IMAGE"],
    }

    program = "docker"

    def own_name(self, reference: str) -> str:
        return reference

    def add(self, name: str, labels: dict[str, str] | None = None) -> ImageDetails:
        digest = f"sha256:{len(self.images):064x}"
        self.images[name] = ImageDetails(digest, (name,), labels or {}, size_bytes=7)
        return self.images[name]

    def find_image(self, reference: str) -> ImageDetails | None:
        return self.images.get(reference)

    def list_images(self, repository: str) -> list[ImageDetails]:
        return [image for name, image in self.images.items() if name.startswith(f"{repository}:")]

    def pull_image(self, reference: str) -> Iterator[str]:
        if reference in self.registry:
            self.add(reference)
            yield f"{reference}: pulled"

    def build_image(self, context: Iterator[bytes], arguments: Mapping[str, Any]) -> Iterator[str]:
        with tarfile.open(fileobj=io.BytesIO(b"".join(context))) as tar:
            names = tar.getnames()
        self.builds.append((dict(arguments), names))
        self.add(arguments["tag"], self.labels(arguments))
        yield "Step 1"

    def info(self) -> dict[str, Any]:
        return {"ServerVersion": "20.10.24", "Architecture": self.machine}

    def close(self) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(images, "open_engine", lambda: fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return fake


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with everything that images are made from."""
    files = {
        "docker/Dockerfile.extract": "FROM a",
        "docker/Dockerfile.load": "FROM b",
        "docker/requirements-extract.txt": "numpy==1",
        "docker/requirements-load-cpu.txt": "torch==2+cpu",
        "docker/requirements-load-cuda.txt": "torch==2",
        CONTRACT: "{}",
        "stage_extract/export.py": "x = 1",
        "stage_extract/graph/reach.py": "y = 1",
        "stage_extract/__pycache__/export.cpython-37.pyc": "compiled",
        "stage_load/prove.py": "z = 1",
        "stage_load/.prove.py.swp": "an editor's",
        "stage_load/.mypy_cache/3.11/cache.db": "a checker's",
        "orchestration/settings.py": "host",
    }
    for name, content in files.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("stage", "variant", "expected"),
    [
        pytest.param(
            "extract",
            "cpu",
            [
                "docker/Dockerfile.extract",
                "docker/requirements-extract.txt",
                "stage_extract/contract_v1.json",
                "stage_extract/export.py",
                "stage_extract/graph/reach.py",
            ],
            id="extract",
        ),
        pytest.param(
            "load",
            "cuda",
            [
                "docker/Dockerfile.load",
                "docker/requirements-load-cuda.txt",
                "stage_extract/contract_v1.json",
                "stage_extract/export.py",
                "stage_extract/graph/reach.py",
                "stage_load/prove.py",
            ],
            id="load-cuda",
        ),
    ],
)
def test_context_holds_exactly_what_is_needed(
    stage: Any, variant: Any, expected: list[str], checkout: Path
) -> None:
    sources = ImageSources.read(stage, variant, checkout)
    with tarfile.open(fileobj=io.BytesIO(b"".join(sources.context()))) as context:
        assert context.getnames() == expected
        for member in context.getmembers():
            stored = context.extractfile(member)
            assert stored is not None
            assert stored.read() == (checkout / member.name).read_bytes()
            assert (member.uid, member.gid, member.uname, member.mtime) == (0, 0, "", 0)
            assert member.mode == 0o644


def test_context_streams_wheels(checkout: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "big-1-py3-none-any.whl"
    wheel.write_bytes(b"w" * (5 << 20 | 77))
    further = {f"wheelhouse/{wheel.name}": wheel}
    pieces = list(ImageSources.read("extract", "cpu", checkout).context(further))
    assert max(map(len, pieces)) == 1 << 20
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as context:
        stored = context.extractfile(f"wheelhouse/{wheel.name}")
        assert stored is not None
        assert stored.read() == wheel.read_bytes()


@pytest.mark.parametrize(
    ("stage", "changed", "stale"),
    [
        pytest.param("extract", "stage_extract/graph/reach.py", True, id="own-source"),
        pytest.param("extract", "docker/requirements-extract.txt", True, id="own-lock"),
        pytest.param("extract", "docker/Dockerfile.extract", True, id="own-dockerfile"),
        pytest.param("extract", "stage_load/prove.py", False, id="other-stage-s-source"),
        pytest.param("extract", "orchestration/settings.py", False, id="host-source"),
        pytest.param("load", CONTRACT, True, id="contract-in-load-image"),
        # Without TensorFlow, stage 1 runs there.
        pytest.param("load", "stage_extract/export.py", True, id="stage-1-in-load-image"),
        pytest.param("load", "docker/requirements-extract.txt", False, id="other-stage-s-lock"),
        pytest.param("load", "docker/requirements-load-cuda.txt", False, id="other-variant-s-lock"),
    ],
)
def test_change_that_makes_an_image_stale(
    stage: Any, changed: str, stale: bool, checkout: Path
) -> None:
    before = ImageSources.read(stage, "cpu", checkout).reference
    assert ImageSources.read(stage, "cpu", checkout).reference == before
    (checkout / changed).write_text("changed", encoding="utf-8")
    assert (ImageSources.read(stage, "cpu", checkout).reference != before) is stale


def test_new_and_renamed_files_make_an_image_stale(checkout: Path) -> None:
    first = ImageSources.read("load", "cpu", checkout).reference
    (checkout / "stage_load" / "plan.py").write_text("z = 1", encoding="utf-8")
    second = ImageSources.read("load", "cpu", checkout).reference
    (checkout / "stage_load" / "plan.py").rename(checkout / "stage_load" / "plans.py")
    third = ImageSources.read("load", "cpu", checkout).reference
    assert len({first, second, third}) == 3


def test_variants_have_names_of_their_own() -> None:
    assert ImageSources.read("load", "cpu").reference.startswith("tf1-to-torch/load:cpu-")
    assert ImageSources.read("load", "cuda").reference.startswith("tf1-to-torch/load:cuda-")
    cpu, cuda = (ImageSources.read("extract", variant) for variant in ("cpu", "cuda"))
    assert cpu.reference == cuda.reference


@pytest.mark.parametrize(
    ("variant", "packages", "no_cache", "expected"),
    [
        pytest.param(
            "cpu",
            PackageSources({}, {"PIP_INDEX_URL": "https://index.example/simple"}, offline=False),
            False,
            {"network_mode": None, "PIP_INDEX_URL": "https://index.example/simple", "TORCH": "cpu"},
            id="online",
        ),
        pytest.param(
            "cuda",
            PackageSources({}, {"PIP_NO_INDEX": "1"}, offline=True),
            True,
            {"network_mode": "none", "PIP_NO_INDEX": "1", "TORCH": "cuda"},
            id="wheelhouse",
        ),
    ],
)
def test_what_the_engine_is_asked(
    variant: Any, packages: PackageSources, no_cache: bool, expected: dict[str, Any]
) -> None:
    sources = ImageSources.read("load", variant)
    base = ImageDetails("sha256:0", ("base:1",), {}, 7, ("base@sha256:1",))
    buildargs = {
        "BASE_IMAGE": "sha256:0",
        "BASE_NAME": "base:1",
        "BASE_DIGEST": "sha256:1",
        "CONTENT": sources.content_hash(),
    }
    buildargs |= {name: value for name, value in expected.items() if name.isupper()}
    assert build_arguments(sources, "base:1", base, packages, no_cache, {}) == {
        "tag": sources.reference,
        "dockerfile": "docker/Dockerfile.load",
        "buildargs": buildargs,
        "network_mode": expected["network_mode"],
        "nocache": no_cache,
        "pull": False,
        "rm": True,
        "forcerm": True,
    }


@pytest.mark.parametrize(
    ("reference", "known", "expected"),
    [
        pytest.param("python:3.7", (), "sha256:id", id="no-registry-knows-it"),
        pytest.param("python:3.7", ("python@sha256:a",), "sha256:a", id="docker"),
        pytest.param("python:3.7", ("docker.io/library/python@sha256:a",), "sha256:a", id="podman"),
        pytest.param(
            "host:5000/me/python:3.7",
            ("host:5000/me/python@sha256:b", "python@sha256:a"),
            "sha256:b",
            id="of-several",
        ),
        pytest.param("host:5000/python", ("host:5000/python@sha256:b",), "sha256:b", id="no-tag"),
        pytest.param("python@sha256:a", ("python@sha256:a",), "sha256:a", id="by-digest"),
        pytest.param("python:3.7", ("host/mypython@sha256:b",), "sha256:id", id="another-name"),
    ],
)
def test_digest_of_a_base_image(reference: str, known: tuple[str, ...], expected: str) -> None:
    details = ImageDetails("sha256:id", (), {}, 7, known)
    assert details.digest_of(reference) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, None, id="not-set"),
        pytest.param({"SOURCE_DATE_EPOCH": "1234567890"}, "1234567890", id="set"),
    ],
)
def test_the_time_of_every_file(environment: dict[str, str], expected: str | None) -> None:
    base = ImageDetails("sha256:0", ("base:1",), {}, 7)
    packages = PackageSources({}, {}, offline=False)
    sources = ImageSources.read("extract", "cpu")
    arguments = build_arguments(sources, "base:1", base, packages, False, environment)
    assert arguments["buildargs"].get("SOURCE_DATE_EPOCH") == expected
    times = [one for one in build_command_line(arguments) if one.startswith("--timestamp")]
    assert times == ([] if expected is None else [f"--timestamp={expected}"])


def test_build(engine: FakeEngine) -> None:
    engine.registry = (LOAD_BASE,)
    engine.add(EXTRACT_BASE)
    lines: list[str] = []
    built = build_images(SETTINGS, lines.append)
    extract, load = ImageSources.read("extract", "cpu"), ImageSources.read("load", "cpu")
    assert [(image.stage, image.name, image.size_bytes) for image in built] == [
        ("extract", extract.reference, 7),
        ("load", load.reference, 7),
    ]
    # A base image is fetched only when it is missing, and never without a word.
    assert lines == [
        f"Building {extract.reference} from {EXTRACT_BASE}",
        "Step 1",
        f"Fetching the base image {LOAD_BASE}, which is not on this machine",
        f"{LOAD_BASE}: pulled",
        f"Building {load.reference} from {LOAD_BASE}",
        "Step 1",
    ]
    assert [
        (arguments["buildargs"]["BASE_IMAGE"], arguments["buildargs"]["BASE_NAME"])
        for arguments, _ in engine.builds
    ] == [(engine.images[name].image_id, name) for name in (EXTRACT_BASE, LOAD_BASE)]
    assert recorded_images()[load.reference] == {
        "digest": built[1].digest,
        "base_image": LOAD_BASE,
        "base_image_digest": engine.images[LOAD_BASE].image_id,
        "engine": "20.10.24",
    }


def test_on_another_architecture_only_the_load_image_is_built_and_why_is_said(
    engine: FakeEngine,
) -> None:
    engine.machine = "aarch64"
    engine.add(LOAD_BASE)
    lines: list[str] = []
    assert [image.stage for image in build_images(SETTINGS, lines.append)] == ["load"]
    assert "aarch64: TensorFlow 1.15.5 was built for x86_64 only" in lines[0]
    assert "--reader pure" in lines[0]
    alone = BuildSettings(stages=("extract",), extract_base_image=EXTRACT_BASE)
    with pytest.raises(FeatureUnavailable, match="aarch64"):
        build_images(alone, lines.append)


@pytest.mark.parametrize(
    ("again", "expected_builds"),
    [
        pytest.param(SETTINGS, 0, id="nothing-changed"),
        pytest.param(BuildSettings(no_cache=True), 2, id="no-cache"),
    ],
)
def test_second_build(engine: FakeEngine, again: BuildSettings, expected_builds: int) -> None:
    for name in (EXTRACT_BASE, LOAD_BASE, again.extract_base_image, again.load_base_image):
        if name not in engine.images:
            engine.add(name)
    build_images(SETTINGS, lambda _: None)
    engine.builds.clear()
    assert len(build_images(again, lambda _: None)) == 2
    assert len(engine.builds) == expected_builds


def test_new_base_image_means_a_new_build(engine: FakeEngine) -> None:
    for name in (EXTRACT_BASE, LOAD_BASE):
        engine.add(name)
    build_images(SETTINGS, lambda _: None)
    engine.builds.clear()
    engine.add(LOAD_BASE)
    build_images(SETTINGS, lambda _: None)
    assert [arguments["tag"] for arguments, _ in engine.builds] == [
        ImageSources.read("load", "cpu").reference
    ]


def test_base_image_that_is_nowhere(engine: FakeEngine) -> None:
    with pytest.raises(ImageBuildFailed, match=EXTRACT_BASE):
        build_images(SETTINGS, lambda _: None)


def test_wheelhouse_means_that_nothing_is_fetched(engine: FakeEngine, tmp_path: Path) -> None:
    engine.registry = (EXTRACT_BASE,)
    settings = BuildSettings(extract_base_image=EXTRACT_BASE, wheelhouse=tmp_path)
    with pytest.raises(ImageBuildFailed, match="not on this machine") as caught:
        build_images(settings, lambda _: None)
    assert f"docker pull {EXTRACT_BASE}" in caught.value.remedy
    assert EXTRACT_BASE not in engine.images


def test_incomplete_wheelhouse_stops_before_the_build(engine: FakeEngine, tmp_path: Path) -> None:
    engine.add(EXTRACT_BASE)
    settings = BuildSettings(extract_base_image=EXTRACT_BASE, wheelhouse=tmp_path)
    with pytest.raises(ImageBuildFailed, match=r"lacks absl-py==1\.4\.0"):
        build_images(settings, lambda _: None)
    assert engine.builds == []


def test_engine_that_forgets_what_it_built(engine: FakeEngine) -> None:
    engine.add(EXTRACT_BASE)
    engine.labels = lambda _: {}
    with pytest.raises(ImageBuildFailed, match="is not there"):
        build_images(SETTINGS, lambda _: None)


@pytest.mark.parametrize(
    ("older", "variants", "happened", "remedy"),
    [
        pytest.param(
            [], ("cpu", "cuda"), "no older one either", "`python orchestrate.py build`", id="none"
        ),
        pytest.param(
            ["tf1-to-torch/load:cpu-0123456789ab"],
            ("cpu",),
            "only tf1-to-torch/load:cpu-0123456789ab, made from other sources",
            "`python orchestrate.py build`",
            id="stale",
        ),
        pytest.param(
            [],
            ("cuda",),
            "tf1-to-torch/load:cuda-",
            "`python orchestrate.py build --torch cuda`",
            id="cuda",
        ),
    ],
)
def test_missing_image_is_asked_for(
    older: list[str], variants: Any, happened: str, remedy: str, engine: FakeEngine
) -> None:
    engine.registry = (ImageSources.read("load", "cpu").reference,)
    for name in older:
        engine.add(name)
    with pytest.raises(ImageMissing) as caught:
        find_image(engine, "load", variants)
    assert happened in caught.value.happened
    assert remedy in caught.value.remedy
    assert list(engine.images) == older
    assert engine.builds == []


def test_first_variant_that_is_there_is_taken(engine: FakeEngine) -> None:
    cpu = ImageSources.read("load", "cpu").reference
    details = engine.add(cpu)
    sources, found = find_image(engine, "load", ("cuda", "cpu"))
    assert (sources.reference, found) == (cpu, details)


@pytest.mark.parametrize("stage", ["extract", "load"])
def test_dockerfile_serves_the_classic_builder(stage: str) -> None:
    text = (repository_folder() / "docker" / f"Dockerfile.{stage}").read_text(encoding="utf-8")
    # Docker 20.10 without BuildKit knows none of these.
    for word in ("syntax=", "--mount", "--chmod", "--link", "<<"):
        assert word not in text
    assert text.count("FROM ${BASE_IMAGE}") == 3


@pytest.mark.docker
@pytest.mark.parametrize("stage", ["extract", "load"])
def test_real_image_holds_nothing_of_its_making(stage: Any) -> None:
    real = open_engine()
    try:
        sources, details = find_image(real, stage, ("cpu", "cuda"))
        history, configuration = real.describe_image(details.image_id)
    finally:
        real.close()
    assert configuration["User"] == "65534:65534"
    assert configuration["Entrypoint"] == ["/venv/bin/python3", "-m", f"stage_{stage}"]
    assert details.labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert details.labels["tf1-to-torch.content"] == sources.content_hash()
    for word in ("http://", "https://", "PIP_", "wheelhouse"):
        assert word not in history
