"""A run as its manifest tells it: what it read, where its stages ran, and how to ask for it again.

Whoever archives a result, checks it or repeats it reads the manifest through this and nothing else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from orchestration.manifest import FORMAT, MANIFEST_FILE, VERSION
from orchestration.manifest_errors import no_result, unusable
from orchestration.recorded_settings import from_json
from orchestration.runtimes.base import Stage
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    LoadOptions,
    LoadSettings,
    RuntimeOptions,
)

Role = Literal["checkpoint", "data", "export", "map", "model", "requirements"]
RunSettings = ConvertSettings | ExtractSettings | LoadSettings
COMMANDS: Mapping[str, type[ConvertSettings] | type[ExtractSettings] | type[LoadSettings]] = (
    MappingProxyType({"convert": ConvertSettings, "extract": ExtractSettings, "load": LoadSettings})
)
NOT_MOVED: Mapping[str, Path] = MappingProxyType({})
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RecordedInput:
    """Files that a run has read for one purpose.

    Attributes:
        role: which: the checkpoint itself, its data shards elsewhere, the export that stage 2
            began with, the files of `--map` and `--requirements`, the code of the user's model.
        folder: where they lay then.
        files: name (relative to the folder), size_bytes and sha256 of each.
    """

    role: str
    folder: Path
    files: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class RecordedImage:
    """The image that a stage ran in.

    Attributes:
        stage: whose image it is. Stage 1 without TensorFlow runs in that of "load".
        reference: its name, or the path of a SIF file.
        id: "sha256:…" of its configuration; of a SIF, of the file.
        base: "name" and "digest" of the image that it was made from, where it tells.
    """

    stage: Stage
    reference: str
    id: str
    base: Mapping[str, str]


@dataclass(frozen=True)
class _File:
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class RecordedRun:
    """What a manifest tells of a run that made a result.

    Attributes:
        folder: the result folder, from the root.
        manifest: all of the manifest.
        inputs: everything that the run has read.
        images: stage -> its image, of those that took part; empty for the local runtime.
    """

    folder: Path
    manifest: Mapping[str, Any]
    inputs: tuple[RecordedInput, ...]
    images: Mapping[Stage, RecordedImage]

    @classmethod
    def read(cls, folder_or_manifest: Path) -> RecordedRun:
        """Read the manifest of a result folder, given as the folder or as the file in it.

        Raises:
            ManifestUnusable: there is none, it is of another version, or it is not as this program
                writes it.
        """
        path = Path(os.path.realpath(folder_or_manifest))
        if (wrong := no_result(path)) is not None:
            raise wrong
        if os.path.isdir(path):
            path = path / MANIFEST_FILE
        manifest = _read(path)
        try:
            _check(manifest)
            inputs = tuple(_inputs(manifest["inputs"]))
            images = {one.stage: one for one in _images(manifest)}
            run = cls(path.parent, manifest, inputs, images)
            _check_roles(run)
            # Every path in it is looked at, as if all had moved.
            moved = {one.role: one.folder for one in inputs}
            run.settings(moved=moved, runtime=run.runtime, out=path.parent)
        except (ValueError, KeyError, TypeError) as error:
            raise unusable(path, _told(error)) from error
        return run

    @property
    def command(self) -> str:
        """Which command it was: "convert", "extract" or "load"."""
        return str(self.manifest["command"])

    @property
    def files(self) -> tuple[Mapping[str, Any], ...]:
        """Name (relative to the folder), size_bytes and sha256 of each file of the result."""
        return tuple(self.manifest["files"])

    def input(self, role: Role) -> RecordedInput | None:
        """The files of one role; None where the run read none such."""
        return next((one for one in self.inputs if one.role == role), None)

    @property
    def runtime(self) -> RuntimeOptions:
        """How its stages were run."""
        return self._recorded().runtime

    def settings(
        self, *, moved: Mapping[str, Path] = NOT_MOVED, runtime: RuntimeOptions, out: Path
    ) -> RunSettings:
        """What to ask for to get the same again.

        Args:
            moved: role -> folder in which its files lie now; the others lie where they lay.
            runtime: how the stages are to be run this time; `self.runtime` is how they were.
            out: where the result is to go.
        """
        recorded = self._recorded()
        if runtime.requirements == recorded.runtime.requirements:
            requirements = self._place("requirements", runtime.requirements, moved)
            runtime = replace(runtime, requirements=requirements)
        if isinstance(recorded, LoadSettings):
            export = self._place("export", recorded.export, moved)
            load = self._load(recorded.load, moved)
            assert export is not None
            return LoadSettings(export, out, False, load, runtime)
        checkpoint = self._place("checkpoint", recorded.checkpoint, moved)
        assert checkpoint is not None
        extract = self._extract(recorded.extract, moved)
        if isinstance(recorded, ExtractSettings):
            return ExtractSettings(checkpoint, out, False, extract, runtime)
        load = self._load(recorded.load, moved)
        return ConvertSettings(checkpoint, out, False, extract, load, runtime)

    def _recorded(self) -> RunSettings:
        return from_json(COMMANDS[self.command], self.manifest["settings"], "settings")

    def _place(self, role: Role, path: Path | None, moved: Mapping[str, Path]) -> Path | None:
        """Where something of a role lies now that lay at `path` then."""
        recorded, folder = self.input(role), moved.get(role)
        if path is None or recorded is None or folder is None:
            return path
        inner = path.relative_to(recorded.folder)
        if ".." in inner.parts:
            raise ValueError(f"{path} leads out of {recorded.folder}")
        return folder / inner

    def _extract(self, options: ExtractOptions, moved: Mapping[str, Path]) -> ExtractOptions:
        folder, checkpoint = options.data_folder, self.input("checkpoint")
        if folder is None or checkpoint is None or self.input("data") is not None:
            folder = self._place("data", folder, moved)
        elif checkpoint.folder in (folder, *folder.parents):
            folder = self._place("checkpoint", folder, moved)
        elif "checkpoint" in moved:
            # Nothing was read from there.
            folder = None
        return replace(options, data_folder=folder)

    def _load(self, options: LoadOptions, moved: Mapping[str, Path]) -> LoadOptions:
        return replace(
            options,
            map=self._place("map", options.map, moved),
            model=self._model(options.model, moved),
            model_folder=self._place("model", options.model_folder, moved),
        )

    def _model(self, model: str, moved: Mapping[str, Path]) -> str:
        """A model's name, with the place where its file lies now."""
        file, _, factory = model.rpartition(":")
        if not file.endswith(".py"):
            return model
        return f"{self._place('model', Path(file), moved)}:{factory}"


def _read(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise unusable(path, f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise unusable(path, f"it is no JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise unusable(path, "it is no manifest of this program")
    if manifest.get("version") != VERSION:
        raise unusable(path, f"its version is {manifest.get('version')!r}, known is {VERSION}")
    return manifest


def _check(manifest: Mapping[str, Any]) -> None:
    if manifest.get("command") not in tuple(COMMANDS):
        raise ValueError(
            f"command is {manifest.get('command')!r}, expected one of {', '.join(COMMANDS)}"
        )
    _check_files(manifest["files"], "files")


def _check_roles(run: RecordedRun) -> None:
    """Whether what every run of this kind reads is among what it has read."""
    needed: Role = "export" if run.command == "load" else "checkpoint"
    if run.input(needed) is None:
        raise ValueError(f"inputs holds no {needed}")
    roles = [one.role for one in run.inputs]
    if len(set(roles)) < len(roles):
        raise ValueError("inputs names a role twice")


def _check_files(value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")
    names = [_checked_name(entry, f"{where}[{i}]") for i, entry in enumerate(value)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{where} names {twice!r} twice")


def _checked_name(entry: Any, where: str) -> str:
    """Name of a described file, which leads nowhere but into its folder."""
    file = from_json(_File, entry, where)
    parts = Path(file.name).parts
    is_shortest = file.name == os.fspath(Path(file.name))
    if not parts or not is_shortest or parts[0] == "/" or ".." in parts or "\0" in file.name:
        raise ValueError(f"{where}.name is {file.name!r:.80}, expected a path below the folder")
    if file.size_bytes < 0:
        raise ValueError(f"{where}.size_bytes is {file.size_bytes}, expected a number of bytes")
    if _SHA256.fullmatch(file.sha256) is None:
        raise ValueError(f"{where}.sha256 is {file.sha256!r:.80}, expected hexadecimal digits")
    return file.name


def _inputs(entries: Any) -> Iterator[RecordedInput]:
    if not isinstance(entries, list):
        raise ValueError("inputs is no list")
    for index, entry in enumerate(entries):
        where = f"inputs[{index}]"
        if entry["role"] not in get_args(Role):
            raise ValueError(f"{where}.role is {entry['role']!r:.80}")
        folder = from_json(Path, entry["folder"], f"{where}.folder")
        _check_files(entry["files"], f"{where}.files")
        yield RecordedInput(entry["role"], folder, tuple(entry["files"]))


def _images(manifest: Mapping[str, Any]) -> Iterator[RecordedImage]:
    for stage in get_args(Stage):
        image = manifest[stage]["image"] if stage in manifest else None
        if image is not None:
            told = {one.name: image[one.name] for one in fields(RecordedImage)}
            yield from_json(RecordedImage, told, f"{stage}.image")


def _told(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
