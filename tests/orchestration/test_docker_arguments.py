"""What a stage's container is allowed, as exact arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import FeatureUnavailable
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.container_images import torch_variants
from orchestration.runtimes.containers import (
    Caller,
    bind_mount,
    container_arguments,
    container_name,
    container_path,
    host_text,
)
from orchestration.runtimes.docker import check_memory_limit, wants_gpu

CALLER = Caller(uid=1001, gid=1002, groups=(27, 44))
# Blanks, commas, colons, quotes and more than ASCII: all of them break the `SOURCE:TARGET` form.
AWKWARD = Path('/data/Müller, J. "2018"/it\'s: a model')


def arguments(spec: StageSpec, *, gpu: bool = False) -> dict[str, Any]:
    return container_arguments(
        spec, image_id="sha256:ab", name="name", caller=CALLER, labels={"label": "value"}, gpu=gpu
    )


BASE = {
    "image": "sha256:ab",
    "name": "name",
    "labels": {"label": "value"},
    "user": "1001:1002",
    "group_add": [27, 44],
    "environment": {
        "HOME": "/tmp",
        "USER": "stage",
        "LOGNAME": "stage",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
    },
    "mounts": [],
    "tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=256m,mode=1777"},
    "stdin_open": True,
    "init": True,
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 2048,
    "log_config": {"Type": "none", "Config": {}},
}


@pytest.mark.parametrize(
    ("spec", "gpu", "changed"),
    [
        pytest.param(StageSpec("extract", ()), False, {}, id="plain"),
        pytest.param(
            StageSpec(
                "extract",
                (Mount(AWKWARD, "/in", read_only=True), Mount(Path("/r"), "/out", read_only=False)),
            ),
            False,
            {
                "mounts": [
                    {
                        "Type": "bind",
                        "Source": '/data/Müller, J. "2018"/it\'s: a model',
                        "Target": "/in",
                        "ReadOnly": True,
                    },
                    {"Type": "bind", "Source": "/r", "Target": "/out", "ReadOnly": False},
                ]
            },
            id="mounts-with-awkward-path",
        ),
        pytest.param(
            StageSpec("load", (), memory_limit_bytes=3 << 30),
            False,
            {"mem_limit": 3221225472, "memswap_limit": 3221225472},
            id="memory-limit-leaves-no-swap",
        ),
        pytest.param(
            StageSpec("load", (), environment={"OMP_NUM_THREADS": "3", "HOME": "/elsewhere"}),
            False,
            {
                "environment": {
                    "HOME": "/elsewhere",
                    "USER": "stage",
                    "LOGNAME": "stage",
                    "TMPDIR": "/tmp",
                    "LANG": "C.UTF-8",
                    "OMP_NUM_THREADS": "3",
                }
            },
            id="environment",
        ),
        pytest.param(
            StageSpec("load", ()),
            True,
            {
                "device_requests": [
                    {"Count": -1, "Capabilities": [["gpu", "compute", "utility"]]},
                ]
            },
            id="gpu",
        ),
        # Stage 2's image starts stage 2 unless told otherwise.
        pytest.param(
            StageSpec("extract", (), home="load", arguments=("--reader", "pure")),
            False,
            {
                "entrypoint": ["/venv/bin/python3", "-m", "stage_extract", "--reader", "pure"],
                "working_dir": "/stage",
            },
            id="in-the-other-stage-s-image",
        ),
    ],
)
def test_arguments(spec: StageSpec, gpu: bool, changed: dict[str, Any]) -> None:
    assert arguments(spec, gpu=gpu) == {**BASE, **changed}


def test_nothing_of_the_caller_s_environment_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in repr(arguments(StageSpec("extract", ())))


def test_mount_keeps_a_host_path_as_it_is() -> None:
    assert bind_mount(Mount(AWKWARD, "/in", read_only=True))["Source"] == str(AWKWARD)


@pytest.mark.parametrize(
    ("rootless", "expected"),
    [
        pytest.param(False, Caller(uid=31, gid=32, groups=(7, 9)), id="root-engine"),
        # uid 0 of such an engine's containers is the user who runs it.
        pytest.param(True, Caller(uid=0, gid=0), id="rootless-engine"),
    ],
)
def test_caller(rootless: bool, expected: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 31)
    monkeypatch.setattr("os.getegid", lambda: 32)
    monkeypatch.setattr("os.getgroups", lambda: [9, 32, 7])
    assert Caller.current(rootless) == expected


MOUNTS = (
    Mount(Path("/data/in put"), "/in", read_only=True),
    Mount(Path("/store/shard.data"), "/in/model.data", read_only=True),
    Mount(Path("/results/.partial"), "/out", read_only=False),
)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        pytest.param("/data/in put", "/in", id="the-folder"),
        pytest.param("/data/in put/a/model.ckpt", "/in/a/model.ckpt", id="below-it"),
        pytest.param("/store/shard.data", "/in/model.data", id="a-file"),
        pytest.param("/results/.partial/x", "/out/x", id="the-last-one"),
    ],
)
def test_path_inside(host: str, inside: str) -> None:
    assert container_path(MOUNTS, Path(host)) == inside


def test_path_of_no_mount_is_an_error() -> None:
    with pytest.raises(ValueError, match="/etc/passwd lies in none of"):
        container_path(MOUNTS, Path("/etc/passwd"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "/in/model.ckpt is cut short.", "/data/in put/model.ckpt is cut short.", id="path"
        ),
        pytest.param("Found '/in'.", "Found '/data/in put'.", id="quoted"),
        pytest.param("/in/model.data: gone", "/store/shard.data: gone", id="longest-first"),
        pytest.param("and/in words, /input, x/out", "and/in words, /input, x/out", id="no-path"),
        pytest.param("from /in to /out", "from /data/in put to /results/.partial", id="two"),
    ],
)
def test_text_for_people_names_host_paths(text: str, expected: str) -> None:
    assert host_text(MOUNTS, text) == expected


def test_text_without_mounts_stays() -> None:
    assert host_text((), "/in/x") == "/in/x"


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        pytest.param("r-1.x", "tf1-to-torch-load-r-1.x-t0", id="plain"),
        pytest.param("a b/é", "tf1-to-torch-load-a-b---t0", id="not-allowed-in-names"),
        pytest.param("", "tf1-to-torch-load-run-t0", id="empty"),
    ],
)
def test_name(run_id: str, expected: str) -> None:
    assert container_name("load", run_id, "t0") == expected


NVIDIA = {"Runtimes": {"runc": {}, "nvidia": {}}}
PLAIN = {"Runtimes": {"runc": {}}}


@pytest.mark.parametrize(
    ("device", "information", "expected"),
    [
        pytest.param("auto", NVIDIA, True, id="auto-with"),
        pytest.param("auto", PLAIN, False, id="auto-without"),
        pytest.param("auto", {}, False, id="auto-engine-says-nothing"),
        pytest.param("cpu", NVIDIA, False, id="cpu"),
        # Asked for by name: the engine's refusal is the answer, not a silent CPU.
        pytest.param("cuda:1", PLAIN, True, id="cuda"),
    ],
)
def test_gpu_only_when_asked_for_or_there(
    device: str, information: dict[str, Any], expected: bool
) -> None:
    assert wants_gpu(device, information) is expected


@pytest.mark.parametrize(
    ("device", "gpu", "asked_for", "expected"),
    [
        pytest.param("auto", False, "cpu", ("cpu", "cuda"), id="no-gpu"),
        pytest.param("auto", True, "cpu", ("cuda", "cpu"), id="gpu"),
        pytest.param("cuda", True, "cpu", ("cuda",), id="cuda-by-device"),
        pytest.param("auto", False, "cuda", ("cuda",), id="cuda-by-torch"),
    ],
)
def test_variants_of_the_load_image(
    device: str, gpu: bool, asked_for: Any, expected: tuple[str, ...]
) -> None:
    assert torch_variants(device, gpu, asked_for) == expected


def test_memory_limit_that_the_engine_ignores_is_refused() -> None:
    check_memory_limit(5, {"MemoryLimit": True})
    check_memory_limit(None, {"MemoryLimit": False})
    with pytest.raises(FeatureUnavailable, match="5 bytes"):
        check_memory_limit(5, {"MemoryLimit": False})
