"""Requirements of a user's own: what a file may say, what decides whether it is met already."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from orchestration.own_packages import constraints, requirements_file, requirements_sha256
from orchestration.package_sources import sources_of_own
from orchestration.pip_settings import PipSettings

LOCK = "torch==2.13.0+cpu --hash=sha256:0\nTyping_Extensions==4.0 ; python_version < '3.12'\n"


@pytest.mark.parametrize(
    "line",
    [
        "timm",
        "timm==1.0.3 ; python_version >= '3.8'",
        "segmentation-models-pytorch[all]>=0.3,<1",
        "net @ https://example.org/net-1.0-py3-none-any.whl",
        "--pre",
        "# -r other.txt",
    ],
)
def test_what_a_requirements_file_may_say(tmp_path, line):
    path = tmp_path / "own.txt"
    path.write_text(f"einops\n{line}\n")
    assert requirements_file(str(path)) == path


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "--requirement=other.txt",
        "-c limits.txt",
        "-e .",
        "./net-1.0-py3-none-any.whl",
        "/wheels/net.whl",
        "net @ file:///wheels/net.whl",
        "--find-links wheels",
    ],
)
def test_a_requirements_file_stands_alone(tmp_path, line):
    path = tmp_path / "own.txt"
    path.write_text(f"einops\n{line}\n")
    with pytest.raises(click.BadParameter, match=r"line 2 of .* leads to another file"):
        requirements_file(str(path))


def test_a_requirements_file_that_is_not_there():
    with pytest.raises(click.BadParameter, match="cannot be read"):
        requirements_file("gone.txt")


def test_the_locks_versions_are_kept():
    assert constraints(LOCK) == "torch==2.13.0+cpu\nTyping_Extensions==4.0\n"


def test_what_makes_other_packages(tmp_path):
    path, wheels = tmp_path / "own.txt", tmp_path / "wheels"
    path.write_text("einops\n")
    wheels.mkdir()
    (wheels / "einops-1-py3-none-any.whl").write_bytes(b"1")
    found = [requirements_sha256(path, None), requirements_sha256(path, wheels)]
    (wheels / "notes.txt").write_text("no package")
    assert requirements_sha256(path, wheels) == found[1]
    (wheels / "einops-2-py3-none-any.whl").write_bytes(b"2")
    found.append(requirements_sha256(path, wheels))
    path.write_text("einops==1\n")
    found.append(requirements_sha256(path, wheels))
    assert len(set(found)) == 4


def test_a_wheelhouse_gives_what_the_image_lacks(tmp_path: Path):
    names = ("einops-1-py3-none-any.whl", "torch-2.13.0+cpu-cp311-none-any.whl", "notes.txt")
    for name in (*names, "typing_extensions-4.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"")
    found = sources_of_own(LOCK, tmp_path, PipSettings(), {})
    assert found.files == {f"wheelhouse/{names[0]}": tmp_path / names[0]}
    assert (found.arguments, found.offline) == ({"PIP_NO_INDEX": "1"}, True)


def test_without_one_the_machines_settings_count(tmp_path):
    (tmp_path / "einops-1-py3-none-any.whl").write_bytes(b"")
    pip = PipSettings(index_url="https://index.example/simple", find_links=(str(tmp_path),))
    found = sources_of_own(LOCK, None, pip, {})
    assert list(found.files) == ["wheelhouse/einops-1-py3-none-any.whl"]
    assert found.arguments == {"PIP_INDEX_URL": "https://index.example/simple"}
    assert not found.offline
