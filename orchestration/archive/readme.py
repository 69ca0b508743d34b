"""README.md of a bag, for somebody who has neither this program nor TensorFlow."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from orchestration.archive import layout
from orchestration.archive.crate.facts import ArchiveFacts, Creator
from orchestration.archive.crate.metadata import title
from orchestration.archive.entries import Contents, Entry
from orchestration.archive.verify.places import why_untrusted
from orchestration.printing import markdown_code, markdown_text, size_text
from orchestration.recorded_run import RecordedRun

_HERE: Final = Path(__file__).parent
_TEMPLATE: Final = _HERE / "readme.md.jinja"
_READER: Final = _HERE / "read_safetensors.txt"
_LISTED: Final = 50
_ORIGINALS: Final = layout.below_payload(layout.ORIGINAL)
_FOLDERS: Final = (
    (layout.ORIGINAL, "the original files, untouched"),
    (layout.GIVEN, "further files that were read, a folder for each purpose"),
    (layout.RESULT, "what was made of them, and the record of that"),
    (layout.CODE, "the old training code"),
    (layout.PROGRAM, "the program that made this"),
    (layout.IMAGES, "the container images in which it ran"),
    (layout.WHEELHOUSE, "the Python packages of the program and of the images"),
    (layout.LEGAL, "licence and citation"),
)
_RESULT_FILES: Final = (
    ("report.html", "what was converted and how well both agree; open it in a browser"),
    ("model.safetensors", "the network's numbers for PyTorch"),
    ("config.json", "which network it is, and how it is built"),
    ("mapping.csv", "one line an array: its name in TensorFlow and in PyTorch"),
    ("manifest.json", "the record of the run: inputs, versions, commands, verdict"),
    # An export lies in the result, or is all of it.
    *(
        (f"{folder}{name}", text)
        for folder in ("export/", "")
        for name, text in (
            ("variables.safetensors", "the network's numbers as TensorFlow had them"),
            ("graph.json", "what TensorFlow computed with them, as plain data"),
            ("reference.safetensors", "inputs, and what TensorFlow computed of them"),
        )
    ),
)
_VERDICTS: Final = {
    "proven": "**Proven**: both networks were run on the same inputs, and agreed",
    "failed": "**Not proven**: both networks were run on the same inputs, and differed",
    "unproven": "**Not proven**: the two networks were not compared by running them.",
    "exported": "The original was exported as plain data, and not yet made into a PyTorch model.",
}


def readme(run: RecordedRun, contents: Contents, facts: ArchiveFacts, *, is_signed: bool) -> bytes:
    """The text, in Markdown.

    Args:
        run: what was run.
        contents: the payload.
        facts: what whoever archives it tells.
        is_signed: whether the bag gets a signature.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, autoescape=False)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    has = {folder: bool(_inside(contents, folder)) for folder, _ in _FOLDERS}
    text = template.render(
        **_about(run, facts),
        **_files(contents),
        has_result=has[layout.RESULT],
        has_model=run.command != "extract",
        program=has[layout.PROGRAM],
        images=has[layout.IMAGES],
        wheelhouse=has[layout.WHEELHOUSE],
        code=has[layout.CODE],
        commit=contents.code_commit,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        machine=platform.machine(),
        runtime=run.manifest["runtime"],
        foreign_code=_has_foreign_code(run),
        reader=reader_program(),
        signed=is_signed,
        signature=layout.SIGNATURE,
        signed_file=layout.SIGNED,
        namespace=layout.NAMESPACE,
    )
    return f"{text.rstrip()}\n".encode("utf-8", "backslashreplace")


@cache
def reader_program() -> str:
    """The 20 lines of Python that read a safetensors file."""
    return _READER.read_text(encoding="ascii")


def _has_foreign_code(run: RecordedRun) -> bool:
    """Whether whoever verifies must trust code that is not this program's."""
    return why_untrusted(run.settings(runtime=run.runtime, out=run.folder), False) is not None


def _about(run: RecordedRun, facts: ArchiveFacts) -> dict[str, Any]:
    return {
        "title": markdown_text(title(run)),
        "version": run.manifest["program"]["version"],
        "created": str(run.manifest["created"])[:10],
        "verdict": _verdict(run.manifest["verdict"]),
        "license": None if facts.license is None else _license(facts.license),
        "creators": [markdown_text(_creator(one)) for one in facts.creators],
        "doi": facts.doi,
        "citation": None if facts.citation is None else f"data/{facts.citation}",
    }


def _files(contents: Contents) -> dict[str, Any]:
    found = {entry.path: entry for entry in contents.entries}
    result = layout.below_payload(layout.RESULT)
    originals = contents.below(_ORIGINALS)
    return {
        "rows": [_row(contents, *folder) for folder in _FOLDERS if _inside(contents, folder[0])],
        "result_files": [pair for pair in _RESULT_FILES if f"{result}/{pair[0]}" in found],
        "originals": [
            (_former_name(contents, entry), size_text(entry.size_bytes))
            for entry in originals[:_LISTED]
        ],
        "more_originals": len(originals[_LISTED:]),
        "renamed": _shown(contents.renamed, markdown_code),
        "left_out": _shown(contents.left_out, markdown_text),
    }


def _former_name(contents: Contents, entry: Entry) -> str:
    """What an original file was called, in the folder where it lay."""
    former = contents.renamed.get(entry.path, entry.path)
    return markdown_code(former.removeprefix(f"{_ORIGINALS}/"))


def _row(contents: Contents, folder: str, text: str) -> dict[str, Any]:
    entries = _inside(contents, folder)
    size_bytes = sum(entry.size_bytes for entry in entries)
    size = size_text(size_bytes)
    return {"folder": f"{folder}/", "text": text, "files": len(entries), "size": size}


def _inside(contents: Contents, folder: str) -> list[Entry]:
    return contents.below(layout.below_payload(folder))


def _verdict(verdict: Mapping[str, Any]) -> str:
    text, worst = _VERDICTS[verdict["state"]], verdict["worst"]
    if worst is None:
        return text if text.endswith(".") else f"{text}."
    return (
        f"{text}; the largest difference, relative to the scale of the output, was"
        f" {_figure(worst['max_rel'])} in {markdown_text(str(worst['tensor']))}, and"
        f" {verdict['tolerance']:.2g} was accepted."
    )


def _figure(value: float | None) -> str:
    """A difference; None is that of numbers of which one is none."""
    return "not a number" if value is None else f"{value:.2g}"


def _license(license: str) -> str:
    folder = layout.below_payload(layout.LEGAL)
    return f"see `data/{license}`" if license.startswith(f"{folder}/") else markdown_text(license)


def _creator(creator: Creator) -> str:
    contact = f"https://orcid.org/{creator.orcid}" if creator.orcid else creator.mail
    return f"{creator.name} ({contact})" if contact else creator.name


def _shown(names: Mapping[str, str], text_of: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(markdown_code(name), text_of(text)) for name, text in sorted(names.items())]
