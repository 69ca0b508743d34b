"""Real containers of Apptainer's, as root and as an ordinary user: what they cannot do, how they
end, and that nothing of them stays.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.errors import (
    EngineRefused,
    FeatureUnavailable,
    FuseUnusable,
    ImageUnusable,
    NamespacesMissing,
    OrchestrationError,
    ScratchTooSmall,
)
from orchestration.run_paths import cache_folder
from orchestration.runtimes.apptainer_process import ApptainerProcess
from orchestration.runtimes.apptainer_scratch import Scratch, remove_leftovers
from orchestration.runtimes.base import ExitStatus, Mount
from orchestration.sif.store import RECORD_FILE, SifStore
from tests.orchestration.apptainer_bench import (
    Workbench,
    make_bench,
    need_image,
    need_program,
    open_folder,
)
from tests.orchestration.isolation_cases import HOSTILE_ENVIRONMENT, ISOLATION_CASES, MB
from tests.orchestration.test_apptainer_arguments import NASTY_NAMES

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGURATION = Path("/etc/apptainer/apptainer.conf")
# Variables by which Apptainer is told what its options tell it, and which overrule them.
STEERING = {
    "APPTAINER_BIND": "/etc:/in",
    "SINGULARITY_BINDPATH": "/etc:/mnt",
    "APPTAINER_WRITABLE_TMPFS": "1",
    "APPTAINER_NO_MOUNT": "proc",
}


@pytest.fixture(params=["root", "user"])
def bench(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    yield from make_bench(request.param)


@pytest.fixture
def user_bench() -> Iterator[Workbench]:
    if os.geteuid() != 0:
        pytest.skip("changes what a machine has, out of sight of others: needs root")
    yield from make_bench("user")


@pytest.mark.parametrize("content", ["{", "[1, 2]", ""], ids=["torn", "another", "empty"])
def test_a_record_of_images_that_tells_nothing_is_made_anew(content: str, tmp_path: Path) -> None:
    program = need_program()
    image = need_image(program)
    environment = {**os.environ, "XDG_CACHE_HOME": os.fspath(tmp_path)}
    record = cache_folder(environment) / RECORD_FILE
    record.parent.mkdir(parents=True)
    record.write_text(content)
    found = SifStore(program, environment).find_image(os.fspath(image))
    assert found is not None
    assert json.loads(record.read_text())[os.fspath(image)]["digest"] == found.image_id
    assert [path.name for path in record.parent.iterdir()] == [RECORD_FILE]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *ISOLATION_CASES,
        pytest.param(
            "writable_folders()", "['/out', '/tmp', '/var/tmp']", id="nothing-else-is-writable"
        ),
        # An ordinary user's container has 64 MiB of its own.
        pytest.param(f"write('/tmp/x', {100 * MB}) >= {100 * MB}", "True", id="scratch-is-on-disk"),
        pytest.param("os.listdir('/sys')", "['devices']", id="no-control-groups"),
        pytest.param("remount('/proc/sys')", "'EPERM'", id="settings-cannot-be-remounted"),
        # The fourth is the folder that is being listed.
        pytest.param("os.listdir('/proc/self/fd')", "['0', '1', '2', '3']", id="no-open-file"),
        pytest.param("os.getcwd()", "'/stage'", id="starts-in-the-sources"),
    ],
)
def test_isolation(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    for name, value in {**HOSTILE_ENVIRONMENT, **STEERING}.items():
        monkeypatch.setenv(name, value)
    assert bench.ask(code) == expected


def test_nothing_of_the_machine_is_seen(bench: Workbench) -> None:
    paths = [os.fspath(bench.folder), os.path.expanduser("~/.cache"), "/etc/shadow-"]
    paths += [os.fspath(Path(__file__).parent)]
    assert bench.ask(f"[path for path in {paths!r} if os.path.exists(path)]") == "[]"


def test_results_belong_to_the_caller(bench: Workbench) -> None:
    assert bench.ask("write('/out/x', 3)") == "3"
    assert (bench.folder / "out" / "x").stat().st_uid == (bench.folder / "out").stat().st_uid


def test_paths_of_any_kind(bench: Workbench) -> None:
    names = [str(case.values[0]) for case in NASTY_NAMES]
    mounts = []
    for name in names:
        folder = bench.folder / "nasty" / name
        folder.mkdir(parents=True)
        (folder / "file").write_text(name, encoding="utf-8", newline="")
        mounts.append(Mount(folder, f"/nasty/{name}", read_only=True))
    code = f"[open('/nasty/' + name + '/file', newline='').read() for name in {names!r}]"
    assert bench.ask(code, mounts=tuple(mounts)) == repr(names)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("import sys; sys.exit(3)", ExitStatus(3), id="exit-code"),
        pytest.param("import sys; sys.exit(255)", ExitStatus(255), id="like-apptainer-s-own"),
        pytest.param("import os; os.abort()", ExitStatus(134, signal.SIGABRT), id="abort"),
        pytest.param("import os; os.kill(os.getpid(), 15)", ExitStatus(143, 15), id="terminated"),
        pytest.param("import os; os.kill(os.getpid(), 9)", ExitStatus(137, 9), id="killed"),
    ],
)
def test_how_it_ended(bench: Workbench, program: str, expected: ExitStatus) -> None:
    process = bench.start(program=program)
    try:
        assert list(process.lines()) == []
        status = process.wait()
    finally:
        process.kill()
    assert (status.code, status.signal) == (expected.code, expected.signal)


def test_out_of_memory(bench: Workbench) -> None:
    if not bench.apptainer.is_root or not CONFIGURATION.is_file():
        pytest.skip("a limit needs root, or systemd")
    # As on a machine without systemd.
    text = CONFIGURATION.read_text(encoding="utf-8")
    path = bench.folder / "apptainer.conf"
    path.write_text(text.replace("systemd cgroups = yes", "systemd cgroups = no"))
    apptainer = replace(
        bench.through("sh", "-c", f'exec "$0" -c "{path}" "$@"'), settings=("/proc/sys",)
    )
    process = bench.start(
        program="x = bytearray(300 << 20)", apptainer=apptainer, memory_limit_bytes=100 * MB
    )
    try:
        assert list(process.lines()) == []
        assert process.wait() == ExitStatus(137, signal.SIGKILL, out_of_memory=True)
    finally:
        process.kill()


def failure_of(process: ApptainerProcess) -> OrchestrationError:
    try:
        assert list(process.lines()) == []
        with pytest.raises(OrchestrationError) as caught:
            process.wait()
    finally:
        process.kill()
    return caught.value


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        pytest.param(b"no image", 0o644, id="no-image"),
        pytest.param(None, 0o644, id="cut-off"),
        pytest.param(b"no image", 0o000, id="closed"),
    ],
)
def test_an_image_that_is_none(bench: Workbench, content: bytes | None, mode: int) -> None:
    path = bench.folder / "bad.sif"
    if content is None:
        with bench.image.open("rb") as file:
            content = file.read(MB)
    path.write_bytes(content)
    path.chmod(mode)
    error = failure_of(bench.start(image=path))
    assert isinstance(error, ImageUnusable), error
    assert f"The image {path} cannot be used" in error.happened


def test_an_image_without_the_program(bench: Workbench) -> None:
    error = failure_of(bench.start(command=["/venv/bin/nothing"]))
    assert isinstance(error, ImageUnusable), error
    assert "/venv/bin/nothing" in error.happened


def test_a_folder_that_is_gone(bench: Workbench) -> None:
    missing = bench.folder / "missing"
    error = failure_of(bench.start(mounts=(Mount(missing, "/in", read_only=True),)))
    assert isinstance(error, EngineRefused), error
    assert f"mount source {missing} doesn't exist" in error.happened
    assert not missing.exists()


def test_a_memory_limit_that_cannot_be_kept(user_bench: Workbench) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd may well keep one")
    error = failure_of(user_bench.start(memory_limit_bytes=500 * MB))
    assert isinstance(error, FeatureUnavailable), error


def test_a_closed_fuse_device(user_bench: Workbench) -> None:
    closed = user_bench.folder / "closed"
    closed.touch(mode=0o600)
    hide = f'mount --bind "{closed}" /dev/fuse; exec "$0" "$@"'
    apptainer = user_bench.through("unshare", "--mount", "sh", "-e", "-c", hide)
    error = failure_of(user_bench.start(apptainer=apptainer))
    assert isinstance(error, FuseUnusable), error
    assert "--unsquash" in error.remedy
    # What the message says does mend it.
    plain = open_folder("apptainer-unpacks-")
    try:
        environment = {"APPTAINER_TMPDIR": os.fspath(plain)}
        unpacked = replace(apptainer, unsquash=True)
        assert user_bench.ask("6 * 7", apptainer=unpacked, environment=environment) == "42"
        assert os.listdir(plain) == []
    finally:
        plain.rmdir()


def test_a_small_scratch_folder(user_bench: Workbench) -> None:
    small = open_folder("apptainer-small-")
    environment = {"APPTAINER_TMPDIR": os.fspath(small)}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=1777", "none", small], check=True)
    try:
        apptainer = replace(user_bench.apptainer, unsquash=True)
        error = failure_of(user_bench.start(apptainer=apptainer, environment=environment))
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", small], check=True)
        small.rmdir()
    assert isinstance(error, ScratchTooSmall), error
    assert "APPTAINER_TMPDIR" in error.remedy


def test_no_user_namespaces(user_bench: Workbench) -> None:
    """In a user namespace of root's that allows no further ones, as on a hardened machine."""
    sleeper = subprocess.Popen(["unshare", "--user", "sleep", "60"])
    try:
        own, other = os.readlink("/proc/self/ns/user"), f"/proc/{sleeper.pid}/ns/user"
        deadline_s = time.monotonic() + 10
        while os.readlink(other) == own and time.monotonic() < deadline_s:
            time.sleep(0.02)
        for kind in ("uid", "gid"):
            Path(f"/proc/{sleeper.pid}/{kind}_map").write_text("0 0 65536\n")
        forbid = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" "$@"'
        enter = ("nsenter", f"--target={sleeper.pid}", "--user", "--setuid=0", "--setgid=0")
        apptainer = user_bench.through(*enter, "sh", "-e", "-c", forbid)
        error = failure_of(user_bench.start(apptainer=apptainer))
    finally:
        sleeper.kill()
        sleeper.wait()
    assert isinstance(error, NamespacesMissing), error


def all_below(pid: int) -> list[int]:
    """Numbers of a process and of its descendants."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += all_below(int(child))
    return found


def is_helper(pid: int) -> bool:
    """Whether a process serves an image to a container."""
    try:
        return b"squashfuse" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_kill_ends_it_and_leaves_nothing(bench: Workbench) -> None:
    process = bench.start()
    assert next(process.events()) == {"event": "ready"}
    assert len(os.listdir(bench.scratch)) == 1
    helpers = {pid for pid in all_below(process._process.pid) if is_helper(pid)}
    # Root mounts the image itself.
    assert bool(helpers) is not bench.apptainer.is_root
    process.kill()
    assert os.listdir(bench.scratch) == []
    assert [pid for pid in helpers if is_helper(pid)] == []
    process.send({"code": "1"})
    process.kill()


def test_what_a_killed_run_leaves_is_removed_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    environment = {"TMPDIR": os.fspath(tmp_path)}
    living = Scratch(environment)
    program = (
        "import os, sys; from orchestration.runtimes.apptainer_scratch import Scratch;"
        "scratch = Scratch({'TMPDIR': sys.argv[1]});"
        "(scratch.temporary / 'sealed').mkdir(0o500); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=REPOSITORY, check=False)
    assert len(os.listdir(tmp_path)) == 2
    remove_leftovers(environment)
    assert os.listdir(tmp_path) == [living.folder.name]
    living.remove()
    assert os.listdir(tmp_path) == []
