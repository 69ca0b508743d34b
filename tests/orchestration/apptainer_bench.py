"""Real Apptainer for tests: an image that every user may read, and a second user to run it as."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import EngineNotInstalled
from orchestration.image_sources import REPOSITORIES, ImageSources
from orchestration.runtimes.apptainer_arguments import SETTINGS, Apptainer
from orchestration.runtimes.apptainer_process import ApptainerProcess
from orchestration.runtimes.base import ExitStatus, Mount, StageSpec
from orchestration.runtimes.containers import INTERPRETER
from orchestration.sif.program import Program, find_program
from orchestration.sif.store import SifStore
from tests.ordinary_user import DEFAULT_NAME, NAME_VARIABLE

PROBE = Path(__file__).with_name("container_probe.py").read_text(encoding="utf-8")
BUILD_COMMAND = "python orchestrate.py build --runtime apptainer"


def absent(reason: str) -> Any:
    """Skip, or fail where continuous integration has brought everything up."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_program() -> Program:
    """The installed Apptainer."""
    try:
        return find_program(os.environ)
    except EngineNotInstalled as error:
        return absent(error.happened)


def need_image(program: Program) -> Path:
    """An image of stage 2: of the present sources, or the newest; any with a Python serves."""
    store = SifStore(program, os.environ)
    reference = ImageSources.read("load", "cpu").reference
    if store.find_image(reference) is not None:
        return store.path(reference)
    found = store.list_images(REPOSITORIES["load"])
    return store.path(found[0].tags[0]) if found else absent(f"no image: run `{BUILD_COMMAND}`")


def open_folder(prefix: str) -> Path:
    """A new folder that every user may look into; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


def lend(image: Path, folder: Path) -> Path:
    """The image in a folder that others may enter: the user's cache may be closed to them."""
    target = folder / image.name
    try:
        os.link(image, target)
    except OSError:
        shutil.copyfile(image, target)
        target.chmod(0o644)
    return target


def ordinary_user() -> pwd.struct_passwd:
    """The user without rights that all tests become."""
    name = os.environ.get(NAME_VARIABLE, DEFAULT_NAME)
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return absent(f"there is no user {name}: make one, or set {NAME_VARIABLE}")


def run_as(entry: pwd.struct_passwd) -> list[str]:
    """The command before another that runs it as a user."""
    identity = (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
    variables = (f"HOME={entry.pw_dir}", f"USER={entry.pw_name}", f"LOGNAME={entry.pw_name}")
    return ["setpriv", *identity, "env", *variables]


@dataclass
class Workbench:
    """Starts probes in containers.

    Attributes:
        apptainer: the installation, seen as root or through a script that becomes another user.
        image: to run them in.
        folder: with `in` (holding a file) and `out`; where other folders may be made, too.
        scratch: parent of the scratch folders.
        text: what the probes wrote to stderr.
    """

    apptainer: Apptainer
    image: Path
    folder: Path
    scratch: Path
    text: list[str] = field(default_factory=list)

    def start(
        self,
        *,
        program: str = PROBE,
        command: Sequence[str] = (),
        apptainer: Apptainer | None = None,
        image: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> ApptainerProcess:
        """Start a container; `spec` = further fields of its StageSpec."""
        mounts = (
            Mount(self.folder / "in", "/in", read_only=True),
            Mount(self.folder / "out", "/out", read_only=False),
        )
        return ApptainerProcess(
            apptainer or self.apptainer,
            StageSpec("load", **{"mounts": mounts, **spec}),
            image or self.image,
            {**os.environ, "TMPDIR": os.fspath(self.scratch), **(environment or {})},
            self.text.append,
            command or [INTERPRETER, "-u", "-c", program],
        )

    def ask(self, code: str, **options: Any) -> str:
        """What an expression yields inside a fresh container."""
        process = self.start(**options)
        try:
            process.send({"code": code})
            process.close_input()
            answers = [event for event in process.events() if event["event"] == "answer"]
            assert process.wait() == ExitStatus(0), self.text
        finally:
            process.kill()
        return str(answers[0]["result"])

    def through(self, *words: str) -> Apptainer:
        """The installation behind a further command, such as `unshare`."""
        text = f'exec {shlex.join([*words, self.apptainer.program])} "$@"'
        return replace_program(self.apptainer, self.folder / "through", text)


def replace_program(apptainer: Apptainer, path: Path, text: str) -> Apptainer:
    """The installation with a shell script in place of its program."""
    path.write_text(f"#!/bin/sh\nset -e\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return Apptainer(
        os.fspath(path),
        is_root=apptainer.is_root,
        unsquash=apptainer.unsquash,
        settings=apptainer.settings,
    )


def make_bench(role: str) -> Iterator[Workbench]:
    """A workbench as "root", or as another "user"."""
    if os.geteuid() != 0 and role == "root":
        pytest.skip("needs root")
    program = need_program()
    image = need_image(program)
    folder = open_folder("apptainer test, 'é' ")
    try:
        for name in ("in", "out", "scratch"):
            (folder / name).mkdir()
        (folder / "in" / "input.txt").write_text("as it was", encoding="utf-8")
        settings = tuple(path for path in SETTINGS if os.path.exists(path))
        apptainer = Apptainer(program.path, is_root=role == "root", settings=settings)
        if role == "user" and os.geteuid() == 0:
            entry = ordinary_user()
            os.chown(folder / "out", entry.pw_uid, entry.pw_gid)
            # Started in its scratch folder, which has been made by root.
            text = f"chown -R {entry.pw_uid}:{entry.pw_gid} .\n"
            text += f'exec {shlex.join([*run_as(entry), program.path])} "$@"'
            apptainer = replace_program(apptainer, folder / "as-user", text)
        yield Workbench(apptainer, lend(image, folder), folder, folder / "scratch")
        assert os.listdir(folder / "scratch") == []
        assert (folder / "in" / "input.txt").read_text(encoding="utf-8") == "as it was"
    finally:
        shutil.rmtree(folder)
