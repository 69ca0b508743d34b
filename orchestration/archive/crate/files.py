"""Folders and files of an archive as entities of its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from orchestration.archive import layout
from orchestration.archive.crate.entities import clean, one_or_more
from orchestration.archive.crate.facts import FileFact
from orchestration.publishing import EXPORT_FOLDER

if TYPE_CHECKING:
    from rocrate.model import ContextEntity, Dataset, Entity
    from rocrate.rocrate import ROCrate


ORIGINAL: Final = layout.below_payload(layout.ORIGINAL)
GIVEN: Final = layout.below_payload(layout.GIVEN)
RESULT: Final = layout.below_payload(layout.RESULT)
CODE: Final = layout.below_payload(layout.CODE)
PROGRAM: Final = layout.below_payload(layout.PROGRAM)
IMAGES: Final = layout.below_payload(layout.IMAGES)
WHEELHOUSE: Final = layout.below_payload(layout.WHEELHOUSE)
LEGAL: Final = layout.below_payload(layout.LEGAL)
_RENAMED: Final = layout.below_payload(layout.RENAMED)
_UNKNOWN_TYPE: Final = "application/octet-stream"
# Of the endings that are met here; the system's own tables differ from machine to machine.
_MEDIA_TYPES: Final = MappingProxyType(
    {
        ".bib": "application/x-bibtex",
        ".bz2": "application/x-bzip2",
        ".cff": "application/yaml",
        ".css": "text/css",
        ".csv": "text/csv",
        ".gz": "application/gzip",
        ".h5": "application/x-hdf5",
        ".hdf5": "application/x-hdf5",
        ".html": "text/html",
        ".ipynb": "application/x-ipynb+json",
        ".jpg": "image/jpeg",
        ".js": "text/javascript",
        ".json": "application/json",
        ".md": "text/markdown",
        ".pbtxt": "text/plain",
        ".pdf": "application/pdf",
        ".png": "image/png",
        ".py": "text/x-python",
        ".sh": "application/x-sh",
        ".svg": "image/svg+xml",
        ".tar": "application/x-tar",
        ".toml": "application/toml",
        ".txt": "text/plain",
        ".whl": "application/zip",
        ".xml": "application/xml",
        ".yaml": "application/yaml",
        ".yml": "application/yaml",
        ".zip": "application/zip",
        ".zst": "application/zstd",
    }
)
_SAFETENSORS: Final = "https://huggingface.co/docs/safetensors/"
_FOLDERS: Final = MappingProxyType(
    {
        ORIGINAL: (
            "The original checkpoint",
            "Files of the TensorFlow 1.x checkpoint, untouched, under the names that they had.",
        ),
        GIVEN: (
            "What else was read",
            "Further files that the run has read, in a folder for each role.",
        ),
        RESULT: (
            "The result",
            "The model for PyTorch, how it came about, and the proof that it computes the same.",
        ),
        f"{RESULT}/{EXPORT_FOLDER}": (
            "The export",
            "What was read from the checkpoint, as plain data: all that PyTorch needs to know.",
        ),
        CODE: ("The old training code", "As it was handed in; it was not run."),
        PROGRAM: (
            "The program that converted",
            "Source of tf1-to-torch, its container files and the locks of its environments.",
        ),
        IMAGES: (
            "Container images",
            "In which the stages ran; `docker load`, `podman load` or Apptainer bring them back.",
        ),
        WHEELHOUSE: (
            "Python packages",
            "Of which the images and the program's environment are made, without a network.",
        ),
        LEGAL: ("Licence and citation", "Texts that came with the archive."),
    }
)
_RESULT_FILES: Final = MappingProxyType(
    {
        "model.safetensors": "State dict of the PyTorch model.",
        "config.json": "How the PyTorch model is built.",
        "mapping.csv": "One row a tensor: its name in TensorFlow and in PyTorch, and how one"
        " became the other.",
        "report.html": "Coverage and parity, for people.",
        "report.json": "Coverage and parity: numbers of the proof, layer by layer.",
        "manifest.json": "Record of the run: enough to repeat it.",
        "graph.json": "What each variable is to the TensorFlow graph, and the graph itself.",
        "variables.safetensors": "Every numeric variable under its TensorFlow name and in"
        " TensorFlow's layout, bit for bit.",
        "reference.safetensors": "Seeded inputs, and what TensorFlow computed from them.",
    }
)


def add_files(crate: ROCrate, files: Sequence[FileFact], renamed: Mapping[str, str]) -> None:
    """Add all files, each in the folder that is told about.

    Args:
        crate: what they are added to.
        files: sorted by path.
        renamed: path -> former path.
    """
    if any(file.path.endswith(".safetensors") for file in files):
        crate.add(_safetensors(crate))
    parts: dict[str, list[Entity]] = {folder: [] for folder in _folders(files)}
    folders = {folder: _add_folder(crate, folder) for folder in parts if folder}
    for folder, entity in folders.items():
        parts[_outer(folder)].append(entity)
    for file in files:
        entity = crate.add_file(dest_path=file.path, properties=_properties(file))
        if file.path in renamed:
            entity["alternateName"] = clean(renamed[file.path])
        parts[_folder_of(file.path)].append(entity)
    # The root has them all: not every reader looks for more in a folder that is source code, too.
    for folder, entity in folders.items():
        entity["hasPart"] = one_or_more(parts[folder])


def is_below(path: str, folder: str) -> bool:
    """Whether a file lies in a folder; both below `data/`."""
    return path.startswith(f"{folder}/")


def _folders(files: Sequence[FileFact]) -> list[str]:
    """Folders that are told about, sorted; the empty one is `data/` itself."""
    found = {_folder_of(file.path) for file in files}
    return sorted({"", *found, *map(_outer, found)})


def _folder_of(path: str) -> str:
    """The innermost folder with an entity of its own in which a file lies."""
    parts = PurePosixPath(path).parts[:-1]
    has_inner = parts[:1] == (GIVEN,) or parts[:2] == (RESULT, EXPORT_FOLDER)
    return "/".join(parts[: 2 if has_inner else 1])


def _outer(folder: str) -> str:
    return folder.rpartition("/")[0]


def _add_folder(crate: ROCrate, folder: str) -> Dataset:
    inner = f"What was read as {folder.rpartition('/')[2]}"
    name, description = _FOLDERS.get(folder, (inner, "Untouched."))
    properties: dict[str, Any] = {"name": name, "description": description}
    if folder in (CODE, PROGRAM):
        properties["@type"] = ["Dataset", "SoftwareSourceCode"]
    return crate.add_dataset(dest_path=folder, properties=properties)


def _properties(file: FileFact) -> dict[str, Any]:
    path = PurePosixPath(file.path)
    properties: dict[str, Any] = {
        "name": path.name,
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
        "encodingFormat": _MEDIA_TYPES.get(path.suffix.lower(), _UNKNOWN_TYPE),
    }
    if path.suffix == ".safetensors":
        properties["encodingFormat"] = [_UNKNOWN_TYPE, {"@id": _SAFETENSORS}]
    if file.path == _RENAMED:
        properties["description"] = "What files were called whose names a bag cannot list."
    if path.parts[0] == RESULT and path.name in _RESULT_FILES:
        properties["description"] = _RESULT_FILES[path.name]
    return properties


def _safetensors(crate: ROCrate) -> ContextEntity:
    from rocrate.model import ContextEntity

    return ContextEntity(crate, _SAFETENSORS, {"@type": "WebSite", "name": "safetensors"})
