"""Real containers: what they cannot do, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestration import engine as engine_module
from orchestration.engine import Engine
from orchestration.engine_access import open_engine
from orchestration.errors import EngineRefused, FeatureUnavailable
from orchestration.image_sources import REPOSITORIES
from orchestration.runtimes import containers
from orchestration.runtimes.base import ExitStatus, Mount, StageSpec
from orchestration.runtimes.container_process import ContainerProcess
from orchestration.runtimes.containers import Caller, container_arguments, container_name
from orchestration.runtimes.docker import INTERPRETER, DockerRuntime
from orchestration.runtimes.ownership import RUN_LABEL, Owner
from orchestration.settings import RuntimeOptions
from tests.orchestration.isolation_cases import HOSTILE_ENVIRONMENT, ISOLATION_CASES, MB

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("container_probe.py").read_text(encoding="utf-8")
OTHER_UID = 12345
OTHER_GROUP = 23456


@dataclass
class Workbench:
    """Starts probes in containers of one run, whose label tells them from all others.

    Attributes:
        engine: a connection for looking at what is there.
        image_id: of the load stage; any with a Python serves.
        run_id: label of this test's containers.
        folder: with `in` (holding a file) and `out`.
        text: what the probes wrote to stderr.
    """

    engine: Engine
    image_id: str
    run_id: str
    folder: Path
    text: list[str] = field(default_factory=list)

    def start(
        self, *, caller: Caller | None = None, gpu: bool = False, program: str = PROBE, **spec: Any
    ) -> ContainerProcess:
        """Start a container; `spec` = further fields of its StageSpec."""
        mounts = (
            Mount(self.folder / "in", "/in", read_only=True),
            Mount(self.folder / "out", "/out", read_only=False),
        )
        stage = StageSpec("load", **{"mounts": mounts, "run_id": self.run_id, **spec})
        arguments = container_arguments(
            stage,
            image_id=self.image_id,
            name=container_name("load", self.run_id, os.urandom(4).hex()),
            caller=caller or Caller.current(rootless_engine=False),
            labels={RUN_LABEL: self.run_id, **Owner.current().labels()},
            gpu=gpu,
        )
        arguments["entrypoint"] = [INTERPRETER, "-u", "-c", program]
        return ContainerProcess(open_engine(), stage, arguments, self.text.append)

    def ask(self, code: str, **options: Any) -> str:
        """What an expression yields inside a fresh container."""
        with self.start(**options) as process:
            process.send({"code": code})
            process.close_input()
            _, answer = process.events()
            assert process.wait() == ExitStatus(0)
        return str(answer["result"])

    def left(self) -> list[str]:
        """Ids of this test's containers that are still there."""
        found = self.engine.list_containers(f"{RUN_LABEL}={self.run_id}")
        return [container.container_id for container in found]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    folder = tmp_path / "blank, comma: 'quote' é"
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    (folder / "in" / "input.txt").write_text("as it was", encoding="utf-8")
    engine = open_engine()
    image_id = engine.list_images(REPOSITORIES["load"])[0].image_id
    workbench = Workbench(engine, image_id, f"test-{os.urandom(6).hex()}", folder)
    yield workbench
    left = workbench.left()
    for container_id in left:
        engine.remove_container(container_id)
    engine.close()
    assert left == []


def as_root(test: Callable[..., None]) -> Callable[..., None]:
    """Only root can give files away, which these tests need."""
    return pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: needs root")(
        test
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *ISOLATION_CASES,
        pytest.param(
            "write('/stage/x')",
            "OSError: [Errno 30] Read-only file system: '/stage/x'",
            id="root-is-read-only",
        ),
        pytest.param("writable_folders()", "['/out', '/tmp']", id="nothing-else-is-writable"),
        pytest.param(
            "executes('/tmp/x')",
            "PermissionError: [Errno 13] Permission denied: '/tmp/x'",
            id="nothing-in-scratch-can-be-executed",
        ),
        pytest.param(
            f"write('/tmp/x', {300 * MB})",
            "OSError: [Errno 28] No space left on device",
            id="scratch-has-an-end",
        ),
        pytest.param("os.listdir('/sys/class/net')", "['lo']", id="no-network-card-in-sys"),
    ],
)
# A uid that the image knows nothing of, as on any cluster.
@pytest.mark.parametrize("uid", [pytest.param(0, id="root"), pytest.param(OTHER_UID, id="user")])
def test_isolation(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, code: str, expected: str, uid: int
) -> None:
    for name, value in HOSTILE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    if uid != os.geteuid() and os.geteuid() != 0:
        pytest.skip("acts as another user: needs root")
    os.chown(bench.folder / "out", uid, uid)
    for folder in (bench.folder, *list(bench.folder.parents)[:2]):
        folder.chmod(0o755)
    assert bench.ask(code, caller=Caller(uid, uid)) == expected
    assert (bench.folder / "in" / "input.txt").read_text(encoding="utf-8") == "as it was"


def test_number_of_processes_has_an_end(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "ISOLATION", {**containers.ISOLATION, "pids_limit": 20})
    assert bench.ask("start_threads(40)") == "RuntimeError: can't start new thread"


@as_root
def test_results_belong_to_the_caller(bench: Workbench) -> None:
    os.chown(bench.folder / "out", OTHER_UID, OTHER_GROUP)
    assert bench.ask("write('/out/x', 3)", caller=Caller(OTHER_UID, OTHER_GROUP)) == "3"
    status = (bench.folder / "out" / "x").stat()
    assert (status.st_uid, status.st_gid, status.st_size) == (OTHER_UID, OTHER_GROUP, 3)


@as_root
@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param((OTHER_GROUP,), "['input.txt']", id="member"),
        pytest.param((), "PermissionError: [Errno 13] Permission denied: '/in'", id="stranger"),
    ],
)
def test_inputs_of_a_further_group(
    bench: Workbench, groups: tuple[int, ...], expected: str
) -> None:
    os.chown(bench.folder / "in", 0, OTHER_GROUP)
    (bench.folder / "in").chmod(0o750)
    caller = Caller(OTHER_UID, OTHER_UID, groups)
    assert bench.ask("os.listdir('/in')", caller=caller) == expected


def test_file_behind_a_symbolic_link(bench: Workbench, tmp_path: Path) -> None:
    # The link leads out of the mounted folder: the file it names is mounted on it.
    store = tmp_path / "store"
    store.mkdir()
    (store / "blob").write_text("far away", encoding="utf-8")
    (bench.folder / "in" / "model.data").symlink_to(store / "blob")
    mounts = (
        Mount(bench.folder / "in", "/in", read_only=True),
        Mount(store / "blob", "/in/model.data", read_only=True),
    )
    assert bench.ask("open('/in/model.data').read()", mounts=mounts) == "'far away'"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("import sys; sys.exit(3)", ExitStatus(3), id="exit-code"),
        pytest.param("import os; os.abort()", ExitStatus(134, signal=signal.SIGABRT), id="abort"),
        # By a signal, and yet not for want of memory.
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            ExitStatus(137, signal=signal.SIGKILL),
            id="killed",
        ),
        pytest.param(
            "x = bytearray(200 << 20)",
            ExitStatus(137, signal=signal.SIGKILL, out_of_memory=True),
            id="out-of-memory",
        ),
        pytest.param(
            "import subprocess, sys;"
            "subprocess.run([sys.executable, '-c', 'x = bytearray(200 << 20)']); sys.exit(5)",
            ExitStatus(5, out_of_memory=True),
            id="child-out-of-memory",
        ),
        # The engine reports the child's end here too; the stage did its work all the same.
        pytest.param(
            "import subprocess, sys;"
            "subprocess.run([sys.executable, '-c', 'x = bytearray(200 << 20)'])",
            ExitStatus(0),
            id="child-out-of-memory-and-done",
        ),
    ],
)
def test_how_it_ended(bench: Workbench, program: str, expected: ExitStatus) -> None:
    with bench.start(program=program, memory_limit_bytes=100 * MB) as process:
        assert list(process.lines()) == []
        assert process.wait() == expected


def test_jobs_and_events_of_any_length(bench: Workbench) -> None:
    text = "é" * (2 * MB)
    with bench.start() as process:
        process.send({"code": f"{text!r} * 2"})
        process.send({"code": "6 * 7"})
        process.close_input()
        results = [event.get("result") for event in process.events()]
        assert results == [None, repr(text * 2), "42"]
        assert list(process.events()) == []


def test_text_comes_line_by_line_and_apart_from_events(bench: Workbench) -> None:
    program = (
        "import sys\n"
        "sys.stderr.write('one\\rtwo\\nthr')\n"
        'print(\'{"event": "ready"}\')\n'
        "sys.stderr.write('ee\\nno newline')"
    )
    with bench.start(program=program) as process:
        assert list(process.events()) == [{"event": "ready"}]
        assert process.wait() == ExitStatus(0)
    assert bench.text == ["one\rtwo", "three", "no newline"]


def test_silence_longer_than_the_sdk_s_patience(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CONNECT_TIMEOUT_S", 1)
    assert bench.ask("time.sleep(2.5)") == "None"


def test_kill_ends_and_removes(bench: Workbench) -> None:
    process = bench.start()
    assert next(process.events()) == {"event": "ready"}
    assert len(bench.left()) == 1
    process.kill()
    assert bench.left() == []
    assert process.wait() == ExitStatus(137, signal=signal.SIGKILL)
    # What comes after is no error: the pipeline may be in the middle of anything.
    process.send({"code": "1"})
    process.close_input()
    assert list(process.events()) == []
    process.kill()


def test_interrupted_creation_leaves_nothing(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "attach", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.start()
    assert bench.left() == []


def test_missing_source_is_refused_and_not_made(bench: Workbench) -> None:
    missing = bench.folder / "missing"
    with pytest.raises(EngineRefused, match="bind source path does not exist"):
        bench.start(mounts=(Mount(missing, "/in", read_only=True),))
    assert not missing.exists()


def test_gpu_that_the_engine_cannot_give(bench: Workbench) -> None:
    if "nvidia" in bench.engine.info()["Runtimes"]:
        pytest.skip("this engine has a GPU to give")
    with pytest.raises(FeatureUnavailable, match="could not select device driver"):
        bench.start(gpu=True)
    assert bench.left() == []


@pytest.mark.parametrize(
    ("number", "stays"),
    [
        pytest.param(signal.SIGINT, False, id="ctrl-c"),
        pytest.param(signal.SIGTERM, False, id="sigterm"),
        # Nobody can clean up after this; the next run does.
        pytest.param(signal.SIGKILL, True, id="sigkill"),
    ],
)
def test_signals_to_the_orchestrator(
    bench: Workbench, tmp_path: Path, number: signal.Signals, stays: bool
) -> None:
    client = subprocess.Popen(
        [sys.executable, __file__, bench.run_id, os.fspath(bench.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)},
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"ready\n"
    assert len(bench.left()) == 1
    client.send_signal(number)
    client.communicate(timeout=30)
    assert bool(bench.left()) is stays
    with bench.start() as living:
        next(living.events())
        DockerRuntime(RuntimeOptions()).reap()
        # The leftover is gone, and the container of a living run is not.
        living.send({"code": "1 + 1"})
        assert next(living.events())["result"] == "2"
        assert len(bench.left()) == 1


def test_run_script(bench: Workbench, tmp_path: Path) -> None:
    script = bench.folder / "in" / "script.py"
    script.write_text("import sys; print(sys.argv[1]); print('oops', file=sys.stderr); sys.exit(4)")
    runtime = DockerRuntime(RuntimeOptions(device="cpu"))
    runtime.prepare(["load"], bench.text.append)
    assert runtime.identity("load")["digest"].startswith("sha256:")
    lines: list[str] = []
    spec = StageSpec(
        "load", (Mount(bench.folder / "in", "/in", read_only=True),), run_id=bench.run_id
    )
    status = runtime.run_script(spec, ["/in/script.py", "a b"], bench.text.append, lines.append)
    assert status == ExitStatus(4)
    assert (lines, bench.text) == (["a b"], ["oops"])


def _wait_as_a_client(run_id: str, folder: Path) -> None:
    """What an orchestrator does until a signal ends it; runs as a program of its own."""
    engine = open_engine()
    image_id = engine.list_images(REPOSITORIES["load"])[0].image_id

    def terminate(*_: object) -> None:
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, terminate)
    with Workbench(engine, image_id, run_id, folder).start() as process:
        print(next(process.events())["event"], flush=True)  # noqa: T201 - its protocol
        time.sleep(60)


if __name__ == "__main__":
    _wait_as_a_client(sys.argv[1], Path(sys.argv[2]))
