"""Paths that a run reads from and writes to: the checkpoint, the default output, the caches."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import CheckpointMissing, ExportInvalid
from orchestration.runtimes.base import Mount

PROJECT = "tf1-to-torch"
INPUT_TARGET = "/in"
DATA_TARGET = "/data"
EXPORT_TARGET = "/export"
OUTPUT_TARGET = "/out"
MAP_TARGET = "/map"
MODEL_TARGET = "/model"
GRAPH_FILE = "graph.json"

# Files of one checkpoint, and TensorFlow's pattern for all shards of a V1 one.
_CHECKPOINT_SUFFIX = re.compile(
    r"(\.(index|meta|data-\d{5,}-of-\d{5,})|-(\d{5,}|\?{5})-of-\d{5,})$"
)
_SHARDS_PATTERN = re.compile(r"-\?{5}-of-\d{5,}$")
# Of files that hold a whole model, for the name of what is made of it.
_MODEL_SUFFIX = re.compile(
    r"(\.(pb|pbtxt|h5|hdf5|keras))?(\.(tar|zip|tgz|tbz2|txz))?(\.(gz|bz2|xz))?$", re.IGNORECASE
)
SAVED_MODEL_FOLDERS = ("variables", "assets", "assets.extra")
STATE_FILE = "checkpoint"
SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class CheckpointPath:
    """The checkpoint that the user named, found on this machine.

    Attributes:
        folder: the real folder that holds it.
        name: what in the folder was named, a prefix or a file; "" for the folder itself.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Path for the stage's job, as the host sees it."""
        return self.folder / self.name if self.name else self.folder

    @property
    def stem(self) -> str:
        """What the names of its files begin with; "" for all files of the folder."""
        return "" if self.name in SAVED_MODEL_FILES else checkpoint_stem(self.name)

    def files(self) -> list[Path]:
        """Files that may belong to the checkpoint, sorted by path; a SavedModel has folders."""
        found = []
        for name in sorted(_listing(self.folder) or ()):
            path = self.folder / name
            if name.startswith(self.stem) and os.path.isfile(path):
                found.append(path)
            elif not self.stem and name in SAVED_MODEL_FOLDERS and os.path.isdir(path):
                found += [path / other for other in sorted(_listing(path) or ())]
        return [path for path in found if os.path.isfile(path)]

    def mounts(self, target: str = INPUT_TARGET) -> tuple[Mount, ...]:
        """The folder, and what its symbolic links lead to outside of it.

        A file mounted on a link lands where the link leads inside the container.

        Args:
            target: where a container sees the folder.
        """
        linked = [
            Mount(
                Path(os.path.realpath(path)),
                f"{target}/{path.relative_to(self.folder).as_posix()}",
                read_only=True,
            )
            for path in self.files()
            if os.path.islink(path) and _leaves_its_folder(path)
        ]
        return (Mount(self.folder, target, read_only=True), *linked)


def checkpoint_stem(name: str) -> str:
    """Name of a checkpoint's file without what tells it from the others of the checkpoint."""
    return _CHECKPOINT_SUFFIX.sub("", name)


def find_checkpoint(given: Path) -> CheckpointPath:
    """Turn what the user named (folder, prefix or file) into a `CheckpointPath`.

    Which files make up the checkpoint is for stage 1 to say; only whether there is
    anything at all is checked here, before anything heavy starts. Where that cannot be seen, for
    lack of permissions, stage 1 tells what may not be read.

    Raises:
        CheckpointMissing: nothing of that name exists.
    """
    if os.path.isdir(given) and not _is_prefix_too(given):
        return CheckpointPath(Path(os.path.realpath(given)), "")
    folder, name = Path(os.path.realpath(given.parent)), _SHARDS_PATTERN.sub("", given.name)
    names = _listing(folder)
    if names is None:
        return CheckpointPath(folder, name)
    if name in names or any(other.startswith((f"{name}.", f"{name}-")) for other in names):
        found = CheckpointPath(folder, name)
        return _follow_lonely_link(found, names)
    raise checkpoint_missing(given, folder, names)


def _is_prefix_too(folder: Path) -> bool:
    """Whether files beside a folder have its name as their prefix, and it holds no checkpoint."""
    beside = folder.with_name(f"{folder.name}.index") if folder.name else folder
    return os.path.isfile(beside) and not any(
        name.endswith(".index") or name in (STATE_FILE, *SAVED_MODEL_FILES)
        for name in _listing(folder) or ()
    )


def _leaves_its_folder(link: Path) -> bool:
    return os.readlink(link).startswith("/") or Path(os.path.realpath(link)).parent != link.parent


def _follow_lonely_link(found: CheckpointPath, names: list[str]) -> CheckpointPath:
    """A link to one file of a checkpoint stands for the checkpoint where that file lies."""
    is_lonely = sum(name.startswith(found.stem) for name in names) == 1
    if not (os.path.islink(found.path) and is_lonely):
        return found
    target = Path(os.path.realpath(found.path))
    return CheckpointPath(target.parent, target.name)


def _listing(folder: Path) -> list[str] | None:
    """Names in a folder; none in one that is missing, None for one that may not be read."""
    try:
        return os.listdir(folder)
    except PermissionError:
        return None
    except OSError:
        return []


def checkpoint_missing(given: Path, folder: Path, names: Sequence[str]) -> CheckpointMissing:
    """The error for a checkpoint that is not in its folder, which holds `names`."""
    if os.path.isdir(folder):
        near = difflib.get_close_matches(given.name, names, n=3, cutoff=0.5)
        hint = f"Nearest names in {folder}: {', '.join(near)}." if near else f"Look into {folder}."
    else:
        parent = next(parent for parent in folder.parents if os.path.isdir(parent))
        hint = f"The folder {folder} does not exist either; {parent} does."
    return CheckpointMissing(
        f"There is no checkpoint at {given}.",
        "A folder, a prefix such as model.ckpt-1000, or one of a checkpoint's files was expected.",
        hint,
    )


def find_export(given: Path) -> Path:
    """The export folder that the user named: itself, or the one inside a result folder.

    Raises:
        ExportInvalid: there is no export, or none that may be read.
    """
    for folder in (given, given / "export"):
        if os.path.isfile(folder / GRAPH_FILE):
            return Path(os.path.realpath(folder))
    if os.path.isdir(given) and not os.access(given, os.R_OK | os.X_OK):
        raise ExportInvalid(
            f"The export {given} may not be looked into.",
            "A folder that you may read and enter was expected.",
            f"Look at its permissions: `ls -ld {given}`.",
        )
    raise ExportInvalid(
        f"There is no export in {given}.",
        f"A folder with {GRAPH_FILE} and variables.safetensors was expected.",
        "Make one with `orchestrate.py extract CKPT --out FOLDER`.",
    )


def default_out(checkpoint: Path, suffix: str) -> Path:
    """`<checkpoint name>-<suffix>` in the current folder.

    The name is that of the folder, of the prefix, or of the file without its endings.
    """
    name = checkpoint.name
    if not os.path.isdir(checkpoint):
        stem = checkpoint_stem(name)
        name = _MODEL_SUFFIX.sub("", name) or name if stem == name else stem
    if not name or checkpoint.name in SAVED_MODEL_FILES:
        folder = checkpoint if os.path.isdir(checkpoint) else checkpoint.parent
        name = Path(os.path.realpath(folder)).name
    return Path.cwd() / f"{name or 'checkpoint'}-{suffix}"


def repository_folder() -> Path:
    """The folder that holds orchestrate.py, the stages and the locks."""
    return Path(__file__).resolve().parent.parent


def cache_folder(environment: Mapping[str, str]) -> Path:
    """This project's folder in the user's cache (XDG Base Directory Specification)."""
    base = environment.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / PROJECT
