"""Podman for real, as root and as an ordinary user: isolation from inside, ends, bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import ImageBuildFailed
from orchestration.image_sources import ImageSources
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.base import Stage
from tests.orchestration.isolation_cases import HOSTILE_ENVIRONMENT, ISOLATION_CASES, MB
from tests.ordinary_user import NoOrdinaryUser, OrdinaryUser, make_ordinary_user

REPOSITORY = Path(__file__).resolve().parents[2]
EQUAL_FILES = (
    "model.safetensors",
    "mapping.csv",
    "config.json",
    "export/variables.safetensors",
    "export/graph.json",
    "export/reference.safetensors",
)
SERVICE_START_S = 20
HOG = "x = bytearray(300 << 20)"
HOG_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"
CASES = [
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
        "sorted(set(os.environ) - {'HOSTNAME', 'LC_CTYPE'})",
        "['HOME', 'LANG', 'LOGNAME', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONNOUSERSITE', 'TERM',"
        " 'TMPDIR', 'USER', 'container']",
        id="every-variable",
    ),
    # The fourth is the folder that is being listed.
    pytest.param("os.listdir('/proc/self/fd')", "['0', '1', '2', '3']", id="no-file-held-open"),
    pytest.param(
        "[name for name in ('/etc/hosts', '/etc/resolv.conf') if os.path.exists(name)"
        " and os.path.getsize(name)]",
        "[]",
        id="no-name-of-another-machine",
    ),
    # Fills what the others need: the last one.
    pytest.param(
        f"write('/tmp/x', {300 * MB})",
        "OSError: [Errno 28] No space left on device",
        id="scratch-has-an-end",
    ),
]
CODES = [case.values[0] for case in CASES]


@dataclass
class Person:
    """Whoever uses Podman.

    Attributes:
        folder: this person's, with `in` (holding a file) and `out`.
        user: the ordinary one; None = root, who runs the tests.
        run_id: label of this person's containers.
    """

    folder: Path
    user: OrdinaryUser | None
    run_id: str

    @property
    def plain_folder(self) -> Path:
        """The same without characters that need quotes."""
        return self.folder.parent / "plain"

    def run(self, *argv: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `more` = further variables."""
        if self.user is not None:
            return self.user.run(*argv, more=more, cwd=self.folder)
        environment = {
            **os.environ,
            "PYTHONPATH": os.fspath(REPOSITORY),
            "XDG_CACHE_HOME": os.fspath(self.folder / "cache"),
            **more,
        }
        return subprocess.run(
            list(map(os.fspath, argv)),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, script: str, *arguments: str | Path, **more: str) -> Any:
        """Run one of the project's scripts."""
        python = sys.executable if self.user is None else self.user.python
        return self.run(python, self.project / script, *arguments, **more)

    @property
    def project(self) -> Path:
        """The checkout that this person runs."""
        return REPOSITORY if self.user is None else self.user.project

    def request(self, **request: Any) -> str:
        """What `podman_client.py` is to do."""
        return json.dumps({"folder": os.fspath(self.folder), "run_id": self.run_id, **request})

    def container(self, **request: Any) -> dict[str, Any]:
        """What came of one container."""
        answer = self.python("tests/podman_client.py", self.request(**request))
        assert answer.stdout, answer.stderr
        return dict(json.loads(answer.stdout))

    def facts(self) -> PodmanFacts:
        """What this person's Podman says of itself."""
        answer = self.run("podman", "info", "--format", "json")
        return PodmanFacts.read(json.loads(answer.stdout))

    def left(self) -> list[str]:
        """Ids of this person's containers that are still there."""
        label = f"--filter=label=tf1-to-torch.run={self.run_id}"
        answer = self.run("podman", "ps", "--all", "--quiet", label)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.split()


def absent(reason: str) -> None:
    """What cannot run here is left out; continuous integration has all of it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def give_images(person: Person) -> None:
    """The images of both stages, from the Docker engine where Podman has none; once a machine."""
    stages: tuple[Stage, ...] = ("extract", "load")
    for stage in stages:
        reference = ImageSources.read(stage, "cpu").reference
        if person.run("podman", "image", "exists", f"localhost/{reference}").returncode == 0:
            continue
        if person.user is None:
            build = ("build", "--stage", stage, "--runtime", "podman", "--from-docker")
            taken = person.python("orchestrate.py", *build)
            if taken.returncode:
                absent(f"Podman has no {reference}: {taken.stderr}")
            continue
        # This user may not speak to the Docker engine.
        with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as archive:
            loaded = subprocess.run(
                person.user.command("podman", "load", "--quiet"),
                stdin=archive.stdout,
                env=person.user.environment(),
                cwd="/",
                check=False,
            )
        if archive.returncode or loaded.returncode:
            absent(f"Podman has no {reference}, and the Docker engine cannot give it")


@pytest.fixture(scope="module")
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Root, or an ordinary user, with a working Podman and the images."""
    if shutil.which("podman") is None:
        absent("there is no podman on this machine")
    folder = Path(tempfile.mkdtemp(prefix="tf1-to-torch-test-"))
    try:
        user = make_ordinary_user(folder) if request.param == "user" else None
    except NoOrdinaryUser as error:
        shutil.rmtree(folder)
        absent(str(error))
    work = folder / "blank, colon: \"quotes\" 'é'"
    for name in ("in", "out"):
        (work / name).mkdir(parents=True)
    (work / "in" / "input.txt").write_text("as it was", encoding="utf-8")
    shutil.copytree(work, folder / "plain")
    if user is not None:
        user.own(work)
        user.own(folder / "plain")
    person = Person(work, user, f"test-{os.urandom(6).hex()}")
    works = person.run("podman", "info")
    if works.returncode:
        absent(f"Podman does not work here: {works.stderr}")
    give_images(person)
    yield person
    left = person.left()
    for container in left:
        person.run("podman", "rm", "--force", container)
    shutil.rmtree(folder)
    assert left == []


PEOPLE = pytest.mark.parametrize("person", ["root", "user"], indirect=True, scope="module")
ROOT = pytest.mark.parametrize("person", ["root"], indirect=True, scope="module")
# Of whom less is allowed: what works then works for root.
ORDINARY = pytest.mark.parametrize("person", ["user"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def answers(person: Person) -> dict[str, str]:
    """What each expression yields, asked of one container after another in one go."""
    answer = person.python(
        "tests/podman_client.py", person.request(codes=CODES), **HOSTILE_ENVIRONMENT
    )
    told = json.loads(answer.stdout)
    assert told["status"] == [0, None, False]
    assert told["text"] == []
    return dict(zip(CODES, told["answers"], strict=True))


@PEOPLE
@pytest.mark.parametrize(("code", "expected"), CASES)
def test_isolation(answers: dict[str, str], person: Person, code: str, expected: str) -> None:
    assert answers[code] == expected
    assert (person.folder / "in" / "input.txt").read_text(encoding="utf-8") == "as it was"


@PEOPLE
def test_results_belong_to_the_caller(answers: dict[str, str], person: Person) -> None:
    status = (person.folder / "out" / "x").stat()
    ours = (0, 0) if person.user is None else (person.user.uid, person.user.gid)
    assert (status.st_uid, status.st_gid) == ours


@PEOPLE
@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param("import sys; sys.exit(3)", [3, None, False], id="exit-code"),
        # Podman's own codes for what never started; here they are the stage's.
        pytest.param("import sys; sys.exit(125)", [125, None, False], id="podman-s-own-code"),
        pytest.param("import sys; sys.exit(127)", [127, None, False], id="a-shell-s-own-code"),
        pytest.param("import os; os.abort()", [134, signal.SIGABRT, False], id="abort"),
        # By a signal, and yet not for want of memory.
        pytest.param(
            "import os; os.kill(os.getpid(), 9)", [137, signal.SIGKILL, False], id="killed"
        ),
    ],
)
def test_how_it_ended(person: Person, program: str, status: list[Any]) -> None:
    assert person.container(program=program) == {"answers": [], "status": status, "text": []}


@PEOPLE
def test_missing_source_is_refused_and_not_made(person: Person) -> None:
    missing = person.folder / "missing"
    name, happened = person.container(folder=os.fspath(missing))["error"]
    assert name == "EngineRefused"
    assert happened.startswith("Podman refused: Error: statfs ")
    assert not missing.exists()


@PEOPLE
def test_program_that_is_not_there(person: Person) -> None:
    told = person.container(command=["/nonesuch"])
    # It is the init program that cannot start it: the container itself ran.
    assert told["status"] == [1, None, False]
    assert "No such file or directory" in told["text"][-1]


@PEOPLE
@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param(HOG, [137, signal.SIGKILL, True], id="itself"),
        pytest.param(f"{HOG_CHILD}; sys.exit(5)", [5, None, True], id="a-child"),
        # It did its work all the same.
        pytest.param(HOG_CHILD, [0, None, False], id="a-child-and-done"),
    ],
)
def test_memory_limit_is_kept_or_refused(person: Person, program: str, status: list[Any]) -> None:
    told = person.container(program=program, memory_limit_bytes=150 * MB)
    if "memory" in person.facts().limits:
        assert told["status"] == status
    else:
        assert told["error"][0] == "FeatureUnavailable"
        assert told["error"][1].startswith("A memory limit of 157286400 bytes was asked for")


@PEOPLE
@pytest.mark.parametrize(
    ("number", "stays"),
    [
        pytest.param(signal.SIGINT, False, id="ctrl-c"),
        # Nobody can clean up after this; the next run does.
        pytest.param(signal.SIGKILL, True, id="sigkill"),
    ],
)
def test_signals_to_the_orchestrator(person: Person, number: signal.Signals, stays: bool) -> None:
    request = person.request(wait=True)
    python = sys.executable if person.user is None else person.user.python
    argv = [os.fspath(python), os.fspath(person.project / "tests/podman_client.py"), request]
    environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
    if person.user is not None:
        argv, environment = person.user.command(*argv), person.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd=person.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdout is not None
        ready = json.loads(client.stdout.readline())
        # A Python that does nothing holds a few megabytes.
        assert MB < ready["memory_bytes"] < 100 * MB
        assert len(person.left()) == 1
        client.send_signal(number)
        client.communicate(timeout=30)
    assert bool(person.left()) is stays
    # Removes what is left of dead orchestrators, before it starts anything.
    assert person.container(codes=["6 * 7"])["answers"] == ["42"]
    assert person.left() == []


@pytest.fixture(scope="module")
def converted(
    zoo: Callable[[str], Path], shared_workplace: Any
) -> Callable[[Path], tuple[Path, Path]]:
    """A checkpoint, and what the local runtime makes of it."""
    checkpoint = zoo("five_levels")
    answer = shared_workplace.run(
        checkpoint, "--model", "unet", "--runtime", "local", "--out", "local"
    )
    assert answer.returncode == 0, answer.stderr
    return checkpoint, shared_workplace.folder / "local"


def convert(person: Person, checkpoint: Path, folder: Path, runtime: str, **more: str) -> Path:
    """Convert a copy of a checkpoint in a folder; gives the result folder there."""
    copy = folder / "checkpoint"
    if not copy.exists():
        shutil.copytree(checkpoint, copy)
        copy.chmod(0o755)
    out = folder / "converted"
    arguments = (copy, "--model", "unet", "--runtime", runtime, "--out", out)
    answer = person.python("orchestrate.py", *arguments, **more)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("PROVEN")
    return out


def check_equal(result: Path, expected: Path) -> None:
    for name in EQUAL_FILES:
        assert (result / name).read_bytes() == (expected / name).read_bytes(), name


@PEOPLE
def test_bytes_are_those_of_the_local_runtime(person: Person, converted: Any) -> None:
    checkpoint, expected = converted
    result = convert(person, checkpoint, person.folder, "podman")
    check_equal(result, expected)
    images = json.loads((result / "manifest.json").read_bytes())
    assert '"runtime": "podman"' in json.dumps(images)
    assert person.left() == []


@ROOT
def test_build(person: Person) -> None:
    """An image of two stages from a context that comes by a pipe, without network."""
    base = ImageSources.read("load", "cpu").reference
    dockerfile = (
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS first\nUSER 0:0\nRUN cat /proc/net/dev > /cards\n"
        "FROM ${BASE_IMAGE}\nARG WORD\nCOPY --from=first /cards /cards\n"
        'COPY text none* /texts/\nLABEL word="${WORD}"\n'
    )
    engine = PodmanEngine(PodmanCommand(os.environ))
    arguments = {
        "tag": f"tf1-to-torch/{person.run_id}:1",
        "dockerfile": "sub/Dockerfile",
        "buildargs": {"BASE_IMAGE": base, "WORD": "two words, 'quoted'"},
        "network_mode": "none",
        "nocache": False,
    }
    files = {"sub/Dockerfile": dockerfile.encode(), "text": b"a text"}
    try:
        context = ImageSources("load", None, files).context()
        log = list(engine.build_image(context, arguments))
        assert any("COPY text" in line for line in log)
        found = engine.find_image(arguments["tag"])
        assert found is not None
        assert found.labels["word"] == "two words, 'quoted'"
        assert [
            image.image_id for image in engine.list_images(f"tf1-to-torch/{person.run_id}")
        ] == [found.image_id]
        show = (
            "run",
            "--rm",
            "--entrypoint",
            "/bin/cat",
            arguments["tag"],
            "/cards",
            "/texts/text",
        )
        answer = person.run("podman", *show)
        assert answer.stdout.endswith("a text")
        assert "lo:" in answer.stdout
        assert "eth0" not in answer.stdout
    finally:
        person.run("podman", "image", "rm", "--force", f"localhost/{arguments['tag']}")
    bad = ImageSources(
        "load", None, {"sub/Dockerfile": b"ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN no"}
    )
    with pytest.raises(ImageBuildFailed, match="could not be built: Podman refused"):
        list(engine.build_image(bad.context(), arguments))


@pytest.fixture
def service(person: Person) -> Iterator[str]:
    """Address of Podman's Docker-compatible socket, served by this person."""
    # A socket's path is short; this folder's is not.
    short = Path(tempfile.mkdtemp(prefix="tf1-"))
    if person.user is not None:
        person.user.own(short)
    socket = short / "p.sock"
    argv = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
    environment = None
    if person.user is not None:
        argv, environment = person.user.command(*argv), person.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd="/", stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        deadline_s = time.monotonic() + SERVICE_START_S
        while not socket.exists() and time.monotonic() < deadline_s:
            time.sleep(0.1)
        yield f"unix://{socket}"
        server.terminate()
    shutil.rmtree(short)


@ORDINARY
def test_the_docker_runtime_by_podman_s_socket(
    person: Person, service: str, converted: Any
) -> None:
    checkpoint, expected = converted
    result = convert(person, checkpoint, person.plain_folder, "docker", DOCKER_HOST=service)
    check_equal(result, expected)


@ORDINARY
@pytest.mark.parametrize(
    ("plain", "options", "refusal"),
    [
        # The interface says of every Podman that it sets memory limits.
        pytest.param(True, ("--memory-limit", "1g"), "this engine sets none", id="memory-limit"),
        pytest.param(False, (), "cannot be told to Podman through its socket", id="quotes"),
    ],
)
def test_what_podman_s_socket_cannot_do_is_said(
    person: Person, service: str, plain: bool, options: tuple[str, ...], refusal: str
) -> None:
    if options and "memory" in person.facts().limits:
        pytest.skip("this Podman sets memory limits")
    checkpoint = (person.plain_folder if plain else person.folder) / "in"
    arguments = ("inspect", checkpoint, "--runtime", "docker", *options)
    refused = person.python("orchestrate.py", *arguments, DOCKER_HOST=service)
    assert refused.returncode == 25, refused.stderr
    assert refusal in refused.stderr
