"""What records tell of this program, of its machine and of environments."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from orchestration.hardware import hardware_record
from orchestration.installed_packages import installed_packages
from orchestration.processor import Processor, read_processor
from orchestration.program import VERSION, program_record, source_names, source_sha256

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_version_is_that_of_the_project():
    for name in ("pyproject.toml", "CITATION.cff"):
        found = re.search(r"^version\W+([\d.]+)", (REPOSITORY / name).read_text(), re.MULTILINE)
        assert found is not None
        assert found[1] == VERSION


def test_the_source_is_what_runs_and_what_goes_into_images():
    names = set(source_names(REPOSITORY))
    assert {"orchestrate.py", "requirements.txt", "docker/Dockerfile.load"} <= names
    assert {"stage_extract/contract_v1.json", "stage_load/report_page/style.css"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_locks_are_told_by_their_hashes():
    locks = program_record()["locks"]
    for name in ("requirements-extract.txt", "requirements-load-cpu.txt"):
        content = (REPOSITORY / "docker" / name).read_bytes()
        assert locks[name] == hashlib.sha256(content).hexdigest()
    content = (REPOSITORY / "requirements.txt").read_bytes()
    assert locks["requirements.txt"] == hashlib.sha256(content).hexdigest()


@pytest.fixture
def copy(tmp_path):
    for name in ("orchestrate.py", "requirements.txt", "docker", "stage_extract"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("stage_extract/jobs.py", True, id="content"),
        pytest.param("stage_extract/new.py", True, id="a-file-more"),
        pytest.param("docker/Dockerfile.extract", True, id="dockerfile"),
        pytest.param("stage_extract/__pycache__/jobs.cpython-37.pyc", False, id="byte-code"),
        pytest.param("stage_extract/.jobs.py.swp", False, id="of-an-editor"),
        pytest.param("notes.txt", False, id="beside"),
    ],
)
def test_a_change_of_the_source_is_another_program(copy, name, changes):
    before = source_sha256(copy)
    path = copy / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"x")
    assert (source_sha256(copy) != before) is changes


def test_a_renamed_file_is_another_program(copy):
    before = source_sha256(copy)
    (copy / "stage_extract" / "jobs.py").rename(copy / "stage_extract" / "job.py")
    assert source_sha256(copy) != before


CPUINFO = [
    pytest.param(
        "processor\t: 0\nmodel name\t: A: B\nflags\t\t: fpu avx\n\nprocessor: 1\nflags: sse\n",
        Processor("A: B", frozenset({"fpu", "avx"})),
        id="x86",
    ),
    pytest.param(
        "processor\t: 0\nBogoMIPS\t: 50\nFeatures\t: fp asimd\n",
        Processor(None, frozenset({"fp", "asimd"})),
        id="arm",
    ),
    pytest.param("", Processor(), id="nothing"),
]


@pytest.mark.parametrize(("text", "expected"), CPUINFO)
def test_the_first_processor_is_told(tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    assert read_processor(tmp_path / "cpuinfo") == expected
    assert read_processor(tmp_path / "missing") == Processor()


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        pytest.param(None, None, id="stage-2-had-no-part"),
        pytest.param({"cuda": False, "name": "cpu", "count": 0}, None, id="none"),
        pytest.param(
            {"cuda": True, "name": "H100", "count": 2}, {"name": "H100", "count": 2}, id="two"
        ),
    ],
)
def test_graphics_cards_are_those_that_stage_2_sees(device, expected):
    assert hardware_record(device)["gpu"] == expected


def test_packages_are_those_that_are_installed():
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "_", name).lower()

    found = installed_packages(Path(sys.executable))
    told = {plain(one.metadata["Name"]): one.version for one in distributions()}
    assert {plain(name): version for name, version in found.items()}.items() <= told.items()
    assert found["click"] == told["click"]
