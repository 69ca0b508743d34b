"""What a stage's container is allowed under Podman, as an exact command line."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.errors import FeatureUnavailable
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.containers import Caller
from orchestration.runtimes.podman_arguments import mount_option, podman_arguments

ROOT = PodmanFacts(
    version="4.3.1",
    is_rootless=False,
    machine="x86_64",
    limits=frozenset({"cpu", "memory", "pids"}),
    cgroup_version="v1",
    mapped_ids=None,
    oci_runtime="runc",
    uses_selinux=False,
    storage_driver="overlay",
    storage_backing="extfs",
    storage_folder="/var/lib/containers/storage",
)
# On control groups v1 a user's Podman can set no limit at all.
USER = replace(ROOT, is_rootless=True, limits=frozenset(), mapped_ids=65537)
CALLER = Caller(uid=1001, gid=1002, groups=(27, 44))
# Blanks, commas, colons, quotes and more than ASCII.
AWKWARD = Path('/data/Müller, J. "2018"/it\'s: a = model')
ISOLATION = [
    "--pull=never",
    "--network=none",
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=256m,mode=1777",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pid=private",
    "--ipc=private",
    "--uts=private",
    "--cgroupns=private",
    "--env-host=false",
    "--http-proxy=false",
    "--no-hosts",
    "--passwd=false",
    "--image-volume=ignore",
    "--no-healthcheck",
    "--log-driver=none",
]
ENVIRONMENT = [
    "--env=HOME=/tmp",
    "--env=USER=stage",
    "--env=LOGNAME=stage",
    "--env=TMPDIR=/tmp",
    "--env=LANG=C.UTF-8",
]


def arguments(
    spec: StageSpec, podman: PodmanFacts, *, has_init: bool = True, gpu: bool = False
) -> list[str]:
    return podman_arguments(
        spec,
        image_id="sha256:ab",
        name="name",
        caller=CALLER,
        labels={"label": "a value", "other": ""},
        podman=podman,
        has_init=has_init,
        gpu=gpu,
        pid_file=Path("/scratch/pid"),
    )


def expected(
    *,
    user: tuple[str, ...] = ("--user=1001:1002", "--group-add=27", "--group-add=44"),
    limits: tuple[str, ...] = ("--pids-limit=2048",),
    more: tuple[str, ...] = ("--init",),
    environment: tuple[str, ...] = (),
    last: tuple[str, ...] = ("sha256:ab",),
) -> list[str]:
    labels = ["--label=label=a value", "--label=other="]
    start = ["run", "--name=name", *labels, "--pidfile=/scratch/pid", "--interactive"]
    return [*start, *user, *ISOLATION, *limits, *more, *ENVIRONMENT, *environment, *last]


@pytest.mark.parametrize(
    ("spec", "podman", "options", "command_line"),
    [
        pytest.param(StageSpec("extract", ()), ROOT, {}, expected(), id="root"),
        pytest.param(
            StageSpec("extract", ()),
            USER,
            {},
            expected(user=("--userns=keep-id", "--user=1001:1002"), limits=()),
            id="rootless",
        ),
        pytest.param(
            StageSpec("extract", ()),
            replace(USER, oci_runtime="crun", limits=frozenset({"pids"})),
            {},
            expected(user=("--userns=keep-id", "--user=1001:1002", "--group-add=keep-groups")),
            id="rootless-with-crun-on-delegated-control-groups",
        ),
        pytest.param(
            StageSpec("extract", ()), ROOT, {"has_init": False}, expected(more=()), id="no-init"
        ),
        pytest.param(
            StageSpec("load", ()),
            replace(ROOT, uses_selinux=True),
            {"gpu": True},
            expected(
                more=("--init", "--security-opt=label=disable", "--device=nvidia.com/gpu=all")
            ),
            id="selinux-and-gpu",
        ),
        pytest.param(
            StageSpec("load", (), memory_limit_bytes=3 << 30),
            ROOT,
            {},
            expected(
                limits=("--pids-limit=2048", "--memory=3221225472b", "--memory-swap=3221225472b")
            ),
            id="memory-limit-leaves-no-swap",
        ),
        pytest.param(
            StageSpec("load", (), environment={"OMP_NUM_THREADS": "3", "ODD": "a b=c,'d'"}),
            ROOT,
            {},
            expected(environment=("--env=OMP_NUM_THREADS=3", "--env=ODD=a b=c,'d'")),
            id="environment",
        ),
        pytest.param(
            StageSpec("load", (Mount(AWKWARD, "/in", True), Mount(Path("/r"), "/out", False))),
            ROOT,
            {},
            expected(
                last=(
                    '--mount=type=bind,"source=/data/Müller, J. ""2018""/it\'s: a = model",'
                    "target=/in,ro=true",
                    "--mount=type=bind,source=/r,target=/out",
                    "sha256:ab",
                )
            ),
            id="mounts-with-awkward-path",
        ),
        # Stage 2's image starts stage 2 unless told otherwise.
        pytest.param(
            StageSpec("extract", (), home="load", arguments=("--reader", "pure")),
            ROOT,
            {},
            expected(
                last=(
                    "--entrypoint=/venv/bin/python3",
                    "--workdir=/stage",
                    "sha256:ab",
                    "-m",
                    "stage_extract",
                    "--reader",
                    "pure",
                )
            ),
            id="in-the-other-stage-s-image",
        ),
    ],
)
def test_command_line(
    spec: StageSpec, podman: PodmanFacts, options: dict[str, bool], command_line: list[str]
) -> None:
    assert arguments(spec, podman, **options) == command_line


def test_nothing_of_the_caller_s_environment_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in repr(arguments(StageSpec("extract", ()), ROOT))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a b", id="blank"),
        pytest.param("/a,b", id="comma"),
        pytest.param("/a:b", id="colon"),
        pytest.param('/"', id="quote"),
        pytest.param('/a"b"c,""', id="quotes-and-comma"),
        pytest.param("/it's", id="apostrophe"),
        pytest.param("/a=b", id="equals-sign"),
        pytest.param("/a\\b", id="backslash"),
        pytest.param("/a\nb", id="newline"),
        pytest.param("/-é$HOME`x`*", id="what-a-shell-would-read"),
    ],
)
def test_podman_reads_the_path_that_was_meant(path: str) -> None:
    option = mount_option(Mount(Path(path), f"/in{path}", read_only=True))
    # Podman reads the option as a line of CSV; so does this module, by the same rules.
    (fields,) = csv.reader([option], strict=True)
    assert fields == ["type=bind", f"source={path}", f"target=/in{path}", "ro=true"]


def test_a_plain_path_needs_no_quotes_that_older_versions_do_not_know() -> None:
    assert (
        mount_option(Mount(Path("/a b:c"), "/out", False)) == "type=bind,source=/a b:c,target=/out"
    )


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/a\r\nb", r"'/a\r\nb'", id="line-end-of-windows"),
        pytest.param("/a\udcffb", r"'/a\udcffb'", id="not-utf-8"),
    ],
)
def test_a_path_that_podman_would_misread_is_refused(path: str, shown: str) -> None:
    with pytest.raises(FeatureUnavailable) as caught:
        mount_option(Mount(Path(path), "/in", read_only=True))
    assert caught.value.happened == f"The path {shown} cannot be told to Podman."
