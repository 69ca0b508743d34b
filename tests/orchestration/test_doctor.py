"""The doctor names what does not work, and the command that mends it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestration import doctor
from orchestration.doctor import check_gpu, check_processor, diagnose, find_gpus
from orchestration.doctor_checks import Check, check_disk
from orchestration.errors import EngineNotRunning
from orchestration.image_sources import ImageSources
from orchestration.image_store import ImageDetails
from orchestration.images import CONTENT_LABEL
from orchestration.settings import RuntimeOptions

GB = 10**9
CARD = "NVIDIA T400, 2048 MiB"


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("machine", "flags", "ok", "detail"),
    [
        pytest.param("x86_64", frozenset({"sse", "avx"}), True, "with AVX", id="ordinary"),
        pytest.param("x86_64", None, True, "x86_64", id="system-does-not-tell"),
        pytest.param("x86_64", frozenset({"sse"}), False, "no AVX", id="emulated"),
        pytest.param("aarch64", frozenset({"asimd"}), False, "aarch64", id="arm"),
        pytest.param("arm64", None, False, "arm64", id="apple"),
    ],
)
def test_processor(machine: str, flags: frozenset[str] | None, ok: bool, detail: str) -> None:
    check = check_processor(machine, flags)
    assert check.ok is ok
    assert detail in check.detail
    assert (check.remedy is None) is ok


@pytest.mark.parametrize(
    ("gpus", "runtimes", "ok", "remedy"),
    [
        pytest.param((), ("runc",), None, None, id="no-card"),
        pytest.param((CARD,), ("runc", "nvidia"), True, None, id="card-and-toolkit"),
        pytest.param((CARD,), ("runc",), False, "nvidia-ctk", id="card-without-toolkit"),
    ],
)
def test_gpu(
    gpus: tuple[str, ...], runtimes: tuple[str, ...], ok: bool | None, remedy: str | None
) -> None:
    check = check_gpu(gpus, {"Runtimes": {name: {} for name in runtimes}})
    assert check.ok is ok
    assert (remedy or "") in (check.remedy or "")
    assert all(card in check.detail for card in gpus)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(f"echo '{CARD}'; echo", (CARD,), id="one-card"),
        # The program is there, and the driver is not loaded.
        pytest.param("echo 'NVIDIA-SMI has failed'; exit 9", (), id="no-driver"),
        pytest.param(None, (), id="no-program"),
    ],
)
def test_cards_of_this_machine(
    script: str | None, expected: tuple[str, ...], tmp_path: Path
) -> None:
    if script is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        program.chmod(0o755)
    assert find_gpus({"PATH": os.fspath(tmp_path)}) == expected


@pytest.mark.parametrize(
    ("free_bytes", "already_made", "ok"),
    [
        pytest.param(7 * GB, False, True, id="enough"),
        pytest.param(5 * GB, False, False, id="too-little"),
        pytest.param(5 * GB, True, True, id="too-little-and-not-needed"),
    ],
)
def test_disk(
    free_bytes: int, already_made: bool, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(folder: Path) -> Usage:
        asked.append(folder)
        return Usage(9 * GB, 0, free_bytes)

    monkeypatch.setattr("shutil.disk_usage", usage)
    check = check_disk("images", tmp_path / "not" / "there", 6 * GB, already_made)
    assert check.ok is ok
    assert f"{free_bytes / GB:.1f} GB free" in check.detail
    assert asked == [tmp_path]


class FakeEngine:
    """An engine with some images."""

    is_here = False

    program = "docker"

    def __init__(self, images: dict[str, ImageDetails], machine: str = "x86_64") -> None:
        self.images = images
        self.machine = machine
        self.closed = False

    def info(self) -> dict[str, Any]:
        return {
            "ServerVersion": "20.10.24",
            "Architecture": self.machine,
            "Runtimes": {"runc": {}},
            "DockerRootDir": "/nowhere",
        }

    def podman(self) -> None:
        return None

    def own_name(self, reference: str) -> str:
        return reference

    def find_image(self, reference: str) -> ImageDetails | None:
        return self.images.get(reference)

    def list_images(self, repository: str) -> list[ImageDetails]:
        return [image for name, image in self.images.items() if name.startswith(repository)]

    def close(self) -> None:
        self.closed = True


def image(name: str, content: str) -> ImageDetails:
    return ImageDetails(f"sha256:{1:064x}", (name,), {CONTENT_LABEL: content}, 3 * GB)


@pytest.fixture
def quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user without caches, interpreters or cards."""
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "find_gpus", lambda environment: ())
    return {
        "PATH": "",
        "HOME": os.fspath(tmp_path),
        "XDG_CACHE_HOME": os.fspath(tmp_path / "cache"),
    }


def by_name(checks: list[Check]) -> dict[str, Check]:
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    return {check.name: check for check in checks}


def test_current_stale_and_missing_images(
    quiet_machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    current = ImageSources.read("extract", "cpu")
    engine = FakeEngine(
        {
            current.reference: image(current.reference, current.content_hash()),
            "tf1-to-torch/load:cpu-old": image("tf1-to-torch/load:cpu-old", "old"),
        }
    )
    monkeypatch.setattr(doctor, "open_engine", lambda: engine)
    checks = by_name(diagnose(RuntimeOptions(), quiet_machine))
    assert checks["docker"] == Check("docker", True, "engine 20.10.24 answers")
    assert checks["docker image extract"].ok is True
    assert "3.00 GB" in checks["docker image extract"].detail
    stale = checks["docker image load (cpu torch)"]
    assert stale.ok is False
    assert "tf1-to-torch/load:cpu-old" in stale.detail
    assert "python orchestrate.py build" in (stale.remedy or "")
    assert "docker image load (cuda torch)" not in checks
    assert engine.closed


def test_no_engine(quiet_machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise EngineNotRunning("Nothing listens.", "An engine was expected.", "Start it.")

    monkeypatch.setattr(doctor, "open_engine", refuse)
    checks = by_name(diagnose(RuntimeOptions(), quiet_machine))
    assert checks["docker"] == Check("docker", False, "Nothing listens.", "Start it.")
    assert not any(name.startswith("docker ") for name in checks)


def test_no_legacy_python(quiet_machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "open_engine", lambda: FakeEngine({}))
    checks = by_name(diagnose(RuntimeOptions(), quiet_machine))
    assert checks["local"].ok is True
    assert "without TensorFlow (No CPython 3.7" in checks["local"].detail
    assert checks["local readers"].ok is None
    assert "pure, which runs no reference (No CPython 3.7" in checks["local readers"].detail
    assert checks["local Python 3.7"].ok is False
    assert "pyenv install 3.7" in (checks["local Python 3.7"].remedy or "")
    # Made on first use: nothing is wrong with that.
    assert checks["local environment extract"].ok is None


def test_a_named_python_that_does_not_serve(
    quiet_machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "open_engine", lambda: FakeEngine({}))
    checks = by_name(diagnose(RuntimeOptions(legacy_python=Path(sys.executable)), quiet_machine))
    assert checks["local Python 3.7"].ok is False
    assert "is Python 3.1" in checks["local Python 3.7"].detail


def test_an_engine_on_another_architecture_needs_no_image_of_stage_1(
    quiet_machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ImageSources.read("load", "cpu")
    images = {load.reference: image(load.reference, load.content_hash())}
    monkeypatch.setattr(doctor, "open_engine", lambda: FakeEngine(images, "aarch64"))
    checks = by_name(diagnose(RuntimeOptions(), quiet_machine))
    assert checks["docker readers"].ok is None
    assert "pure, which runs no reference (aarch64" in checks["docker readers"].detail
    assert checks["docker image load (cpu torch)"].ok is True
    assert "docker image extract" not in checks


@pytest.mark.docker
def test_this_machine() -> None:
    checks = by_name(diagnose(RuntimeOptions()))
    for name in ("processor", "docker", "docker image extract", "docker image load (cpu torch)"):
        assert checks[name].ok is True, checks[name]
