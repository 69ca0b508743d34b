"""An ordinary user of this machine, for tests that root runs: what root may do proves little.

The user sees neither root's files nor its Python, so it gets a copy of the project and of the
packages that the host side needs, and runs them by a Python of the system's.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
NAME_VARIABLE = "ORDINARY_USER"
DEFAULT_NAME = "hpcuser"
PROJECT_PARTS = (
    "orchestrate.py",
    "orchestration",
    "stage_extract",
    "stage_load",
    "docker",
    "tests",
)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
VERSION = "import sys; print(*sys.version_info[:2])"


class NoOrdinaryUser(Exception):
    """Nothing can be run as another user; the text says why."""


@dataclass(frozen=True)
class OrdinaryUser:
    """A user without rights, and what it runs.

    Attributes:
        name: of the account.
        uid: its number.
        gid: its group's.
        home: its home folder.
        folder: readable by all, writable by this user; holds `project` and `packages`.
        python: interpreter of this program's version.
    """

    name: str
    uid: int
    gid: int
    home: Path
    folder: Path
    python: Path

    @property
    def project(self) -> Path:
        """The user's copy of the project."""
        return self.folder / "project"

    def command(self, *argv: str | Path) -> list[str]:
        """A command, to be run as this user."""
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"]
        return [*become, *map(os.fspath, argv)]

    def environment(self) -> dict[str, str]:
        """The variables of a login session, and the packages."""
        return {
            "HOME": os.fspath(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "LANG": "C.UTF-8",
            "PATH": SYSTEM_PATH,
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
            "XDG_CACHE_HOME": os.fspath(self.folder / "cache"),
            "PYTHONPATH": os.pathsep.join(map(os.fspath, (self.folder / "packages", self.project))),
        }

    def run(
        self, *argv: str | Path, more: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `more` = further variables."""
        return subprocess.run(
            self.command(*argv),
            cwd=options.pop("cwd", self.folder),
            env={**self.environment(), **(more or {})},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def orchestrate(
        self, *arguments: str | Path, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run orchestrate.py to its end."""
        return self.run(self.python, self.project / "orchestrate.py", *arguments, **options)

    def own(self, path: Path) -> Path:
        """Give a file, or a folder with what is in it, to the user."""
        for one in (path, *path.rglob("*")):
            os.chown(one, self.uid, self.gid)
        return path


def make_ordinary_user(folder: Path) -> OrdinaryUser:
    """Prepare a user to run this project.

    Args:
        folder: exists, every user may enter it; gets the copies.

    Raises:
        NoOrdinaryUser: this process is not root, or there is no such account or Python.
    """
    if os.geteuid() != 0:
        raise NoOrdinaryUser("only root can act as another user")
    name = os.environ.get(NAME_VARIABLE, DEFAULT_NAME)
    try:
        account = pwd.getpwnam(name)
    except KeyError as error:
        raise NoOrdinaryUser(
            f"there is no user {name}: make one, or set {NAME_VARIABLE}"
        ) from error
    folder.chmod(0o755)
    os.chown(folder, account.pw_uid, account.pw_gid)
    ids = account.pw_uid, account.pw_gid
    python = _python(*ids)
    user = OrdinaryUser(name, *ids, Path(account.pw_dir), folder, python)
    _make_session_folder(user)
    _copy_project(user.project)
    _copy_packages(folder / "packages")
    return user


def _make_session_folder(user: OrdinaryUser) -> None:
    """What a login makes, where there has been none."""
    session = Path("/run/user", str(user.uid))
    session.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(session, user.uid, user.gid)


def _python(uid: int, gid: int) -> Path:
    """A Python of this one's version (packages are compiled for it) that the user may run."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/python{ours}", f"/usr/local/bin/python{ours}"):
        # What setpriv starts is still found with root's rights; what `env` starts, as the user.
        become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env"]
        answer = subprocess.run(
            [*become, path, "-c", VERSION], capture_output=True, text=True, check=False, cwd="/"
        )
        if answer.returncode == 0 and answer.stdout.split() == ours.split("."):
            return Path(path)
    raise NoOrdinaryUser(f"no Python {ours} that an ordinary user may run")


def _copy_project(target: Path) -> None:
    for name in PROJECT_PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    _let_all_read(target)


def _copy_packages(target: Path) -> None:
    """The distributions that requirements.txt names, without those of other systems."""
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if re.match(r"[a-z]", line)]
    for name in names:
        try:
            files = importlib.metadata.files(name) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            # Programs lie outside of the packages' folder.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target / file)
    _let_all_read(target)


def _let_all_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
