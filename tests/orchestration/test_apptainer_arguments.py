"""Apptainer's command line, as exact values."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import FeatureUnavailable
from orchestration.runtimes.apptainer_arguments import (
    Apptainer,
    bind_mount,
    build_environment,
    caller_environment,
    exec_arguments,
)
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.containers import stage_command

USER = Apptainer("/usr/bin/apptainer", is_root=False, settings=("/proc/sys",))
ROOT = Apptainer("/usr/bin/apptainer", is_root=True, settings=("/proc/sys", "/proc/irq"))
SPEC = StageSpec(
    "extract",
    (
        Mount(Path("/data/my ckpt"), "/in", read_only=True),
        Mount(Path("/work/out"), "/out", read_only=False),
    ),
    environment={"PYTHONHASHSEED": "0", "TRICKY": "a,b c=d"},
    arguments=("--reader", "tf"),
)
STAGE = [
    *("env", "HOME=/tmp", "USER=stage", "LOGNAME=stage", "TMPDIR=/tmp", "LANG=C.UTF-8"),
    *("PYTHONHASHSEED=0", "TRICKY=a,b c=d"),
    *("/venv/bin/python3", "-m", "stage_extract", "--reader", "tf"),
]
BEGIN = ["/usr/bin/apptainer", "--nocolor", "--silent", "exec"]
CONTAINED = ["--containall", "--cleanenv", "--no-home", "--net", "--network", "none"]
PROC_SYS = ["--mount", "type=bind,src=/proc/sys,dst=/proc/sys,ro"]
NO_SYS = [
    *("--no-mount", "sys"),
    *("--mount", "type=bind,src=/sys/devices/system,dst=/sys/devices/system,ro"),
]
MOUNTS = [
    *("--mount", 'type=bind,"src=/data/my ckpt","dst=/in",ro'),
    *("--mount", 'type=bind,"src=/work/out","dst=/out"'),
]
END = ["--workdir", "/scratch/job 7"]
IMAGE = "/images/extract: 1.sif"


def arguments(apptainer: Apptainer, spec: StageSpec, cards: str | None = None) -> list[str]:
    return exec_arguments(
        apptainer,
        spec,
        image=Path(IMAGE),
        scratch=Path("/scratch/job 7"),
        command=stage_command(spec),
        cards=cards,
    )


def test_as_an_ordinary_user() -> None:
    assert arguments(USER, SPEC, cards="1,2") == [
        *(BEGIN + CONTAINED),
        *("--pwd", "/stage"),
        *(PROC_SYS + NO_SYS + MOUNTS + END),
        *(IMAGE, *STAGE),
    ]


def test_as_root() -> None:
    assert arguments(ROOT, SPEC) == [
        *(*BEGIN, "--no-privs", *CONTAINED),
        *("--pwd", "/stage"),
        *(*PROC_SYS, "--mount", "type=bind,src=/proc/irq,dst=/proc/irq,ro", *NO_SYS, *MOUNTS, *END),
        *(IMAGE, *STAGE),
    ]


def test_with_cards_memory_limit_and_unpacked_image() -> None:
    spec = replace(SPEC, stage="load", memory_limit_bytes=3_000_000_001, arguments=())
    assert arguments(replace(USER, gpu=True, unsquash=True), spec, cards="1,2") == [
        *(BEGIN + CONTAINED),
        *("--pwd", "/stage"),
        *(PROC_SYS + MOUNTS + END),
        *("--memory", "3000000001", "--memory-swap", "3000000001", "--nv", "--unsquash"),
        *(IMAGE, "env", "CUDA_VISIBLE_DEVICES=1,2", *STAGE[1:8]),
        *("/venv/bin/python3", "-m", "stage_load"),
    ]


def test_a_stage_that_must_not_see_cards_does_not() -> None:
    spec = replace(SPEC, environment={"CUDA_VISIBLE_DEVICES": ""})
    given = arguments(replace(USER, gpu=True), spec, cards="1,2")
    assert [text for text in given if text.startswith("CUDA")] == ["CUDA_VISIBLE_DEVICES="]


@pytest.mark.parametrize("apptainer", [USER, ROOT, replace(ROOT, gpu=True, unsquash=True)])
def test_never_as_a_false_root(apptainer: Apptainer) -> None:
    assert "--fakeroot" not in arguments(apptainer, SPEC)


NASTY_NAMES = [
    pytest.param("blank and  two", id="blanks"),
    pytest.param(" at both ends ", id="blanks-at-the-ends"),
    pytest.param("comma,ro,", id="commas"),
    pytest.param("a:b:ro", id="colons"),
    pytest.param('"all"', id="quoted"),
    pytest.param('in"side', id="quote"),
    pytest.param("it's", id="apostrophe"),
    pytest.param("src=/etc,dst=/in", id="like-a-mount"),
    pytest.param("back\\slash\\n", id="backslashes"),
    pytest.param("$HOME`id`;*{a}#%s", id="shell"),
    pytest.param("é\u2028漢", id="beyond-ascii"),
    pytest.param("new\nline", id="newline"),
    pytest.param("carriage\rreturn\ttab", id="control"),
]


@pytest.mark.parametrize("name", NASTY_NAMES)
@pytest.mark.parametrize("read_only", [True, False])
def test_any_path_is_one_field(name: str, read_only: bool) -> None:
    mount = Mount(Path("/data") / name, f"/in/{name}", read_only)
    text = bind_mount(mount)
    # The rules by which Apptainer reads it, RFC 4180.
    (fields,) = csv.reader([text], strict=True)
    read_only_field = ["ro"] if read_only else []
    assert fields == ["type=bind", f"src=/data/{name}", f"dst=/in/{name}", *read_only_field]


@pytest.mark.parametrize(
    "mount",
    [
        pytest.param(Mount(Path("/a\r\nb"), "/in", read_only=True), id="source"),
        pytest.param(Mount(Path("/a"), "/in/c\r\nd", read_only=True), id="target"),
    ],
)
def test_the_one_path_that_cannot_be_said(mount: Mount) -> None:
    with pytest.raises(FeatureUnavailable, match=r"The path '/.*\\r\\n.' has a carriage return"):
        bind_mount(mount)


@pytest.mark.parametrize("folder", ["/scratch/a,b", "/scratch/a:b"])
def test_where_no_image_can_be_unpacked(folder: str) -> None:
    given = {"image": Path(IMAGE), "scratch": Path(folder) / "work", "command": ["true"]}
    assert folder + "/work" in exec_arguments(USER, SPEC, **given)
    with pytest.raises(FeatureUnavailable, match=f"cannot be unpacked in {folder}"):
        exec_arguments(replace(USER, unsquash=True), SPEC, **given)


CALLER: dict[str, Any] = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "TMPDIR": "/scratch",
    "APPTAINER_TMPDIR": "/large",
    "APPTAINER_CACHEDIR": "/cache",
    "APPTAINER_BIND": "/etc:/in",
    "APPTAINERENV_X": "1",
    "APPTAINER_WRITABLE_TMPFS": "1",
    "SINGULARITY_BINDPATH": "/etc",
    "SINGULARITYENV_X": "1",
    "http_proxy": "http://secret@proxy",
    "TERM": "xterm",
    "SLURM_JOB_ID": "3",
}


def test_what_runs_a_stage_inherits_little() -> None:
    names = ("PATH", "HOME", "TMPDIR", "APPTAINER_TMPDIR", "APPTAINER_CACHEDIR")
    assert caller_environment(CALLER) == {name: CALLER[name] for name in names}


def test_what_builds_an_image_keeps_proxies_and_not_what_steers_it() -> None:
    left_out = (
        *("APPTAINER_BIND", "APPTAINERENV_X", "APPTAINER_WRITABLE_TMPFS"),
        *("SINGULARITY_BINDPATH", "SINGULARITYENV_X"),
    )
    assert build_environment(CALLER) == {
        name: value for name, value in CALLER.items() if name not in left_out
    }
