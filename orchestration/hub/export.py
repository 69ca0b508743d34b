"""Writes a result as a folder that huggingface_hub reads: whole or not at all.

manifest.json and the export stay behind: the one tells names of folders, hosts and users, the other
is not needed to use the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestration.errors import NotShareable, ResultExists
from orchestration.hub.card import CardFacts, model_card
from orchestration.hub.copying import Progress, copy_checked, copy_hashed, write_new
from orchestration.hub.licenses import hub_license
from orchestration.hub.model import CONFIG_FILE, MODEL_FILE, SharedModel
from orchestration.hub.options import HubOptions, License
from orchestration.hub.source import opened
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_shape import check_shape
from orchestration.result_folder import ResultFolder, result_exists, writing_to
from orchestration.run_paths import PROJECT, repository_folder
from orchestration.run_record import MODEL_SOURCE

CARD_FILE: Final = "README.md"
LICENSE_FILE: Final = "LICENSE"
# The result's own config.json: the mixin wants the arguments alone under that name.
CONVERSION_FILE: Final = "conversion.json"
CLASS_FILE: Final = "hub_model.py"
_TARGETS: Final[Mapping[str, str]] = {
    MODEL_FILE: MODEL_FILE,
    CONFIG_FILE: CONVERSION_FILE,
    "mapping.csv": "mapping.csv",
    "report.html": "report.html",
}


@dataclass(frozen=True)
class Shared:
    """A folder that was made.

    Attributes:
        out: the folder.
        state: the verdict of the proof.
        license: as the card names it.
    """

    out: Path
    state: str
    license: str


def export_to_hub(options: HubOptions, progress: Progress) -> Shared:
    """Make the folder.

    Args:
        options: what was asked for.
        progress: called with the bytes that are done, of how many.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    out = _checked_out(options)
    with opened(options.source, progress) as source:
        run = RecordedRun.read(source.folder)
        check_shape(run)
        copies = _copies(run)
        model = SharedModel.read(run.folder)
        license = options.license or source.license
        facts = _facts(run, model, license)
        with ResultFolder(out) as folder, writing_to(out.parent):
            copy_checked(run.folder, folder.result, copies, progress)
            _write_own(folder.result, model, facts)
            if license is not None and license.text is not None:
                copy_hashed(license.text, folder.result / LICENSE_FILE, lambda count: None)
            folder.publish(folder.result, replace=options.force)
    return Shared(out, str(run.manifest["verdict"]["state"]), facts.license)


def _copies(run: RecordedRun) -> list[tuple[Mapping[str, Any], str]]:
    """The files to copy, each with its path in the new folder."""
    files = {str(entry["name"]): entry for entry in run.files}
    missing = [name for name in (MODEL_FILE, CONFIG_FILE) if name not in files]
    if missing:
        raise NotShareable(
            f"{run.folder} has no {missing[0]}: its command was `{run.command}`.",
            "A result with a model was expected.",
            "Make one with `orchestrate.py load EXPORT --model NAME`.",
        )
    sources = {name: name for name in files if name.startswith(f"{MODEL_SOURCE}/")}
    targets = {**sources, **_TARGETS}
    return [(files[name], target) for name, target in sorted(targets.items()) if name in files]


def _facts(run: RecordedRun, model: SharedModel, license: License | None) -> CardFacts:
    key, name = hub_license(None if license is None else license.name)
    has_text = license is not None and license.text is not None
    names = {str(entry["name"]) for entry in run.files}
    return CardFacts(
        run=run,
        model=model,
        plain_class=model.plain_class(run.folder, names),
        license=key,
        license_name=name,
        license_file=LICENSE_FILE if has_text else None,
    )


def _write_own(folder: Path, model: SharedModel, facts: CardFacts) -> None:
    """Write what is not of the result: the mixin's configuration, its class, the card."""
    config = json.dumps(model.arguments, indent=2, sort_keys=True, ensure_ascii=True)
    write_new(folder / CONFIG_FILE, f"{config}\n".encode())
    program = repository_folder() / "stage_load" / CLASS_FILE
    write_new(folder / CLASS_FILE, program.read_bytes())
    write_new(folder / CARD_FILE, model_card(facts))


def _checked_out(options: HubOptions) -> Path:
    """Check, before anything is read, that the folder may be made; its path without links.

    Raises:
        ResultExists: something is there that is not to be replaced, or the source would change.
    """
    out, source = (Path(os.path.realpath(path)) for path in (options.out, options.source))
    if source in (out, *out.parents) or out in source.parents:
        raise ResultExists(
            f"The output {out} would lie in {source}, or that in it.",
            "A result is never changed by sharing it.",
            "Choose another folder with --out.",
        )
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        if not _is_earlier(out):
            raise ResultExists(
                f"{out} exists already, and is no folder that this command made.",
                "Only such folders are ever replaced.",
                "Choose another folder with --out.",
            )
        if not options.force:
            raise result_exists(out, "It was exported before.")
    return out


def _is_earlier(out: Path) -> bool:
    """Whether a folder was made by this command."""
    try:
        conversion = json.loads((out / CONVERSION_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    is_ours = isinstance(conversion, dict) and conversion.get("format") == PROJECT
    return is_ours and (out / CLASS_FILE).is_file()
