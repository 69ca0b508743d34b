"""The archive's metadata: an RO-Crate by the Process Run Crate profile.

One action a stage, with the program that ran, the container image or the environment in which it
ran, what it read, what it made and how it ended; and every file with its size and hash.

https://www.researchobject.org/workflow-run-crate/profiles/0.5/process_run_crate/
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from orchestration.archive import layout
from orchestration.archive.crate.actions import add_actions
from orchestration.archive.crate.entities import add_entity, clean, one_or_more
from orchestration.archive.crate.facts import ArchiveFacts, Creator, FileFact
from orchestration.archive.crate.files import CODE, ORIGINAL, add_files
from orchestration.recorded_run import RecordedRun

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

RO_CRATE_VERSION: Final = "1.1"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
# Terms that RO-Crate does not have: ContainerImage, sha256 …
CONTEXT: Final = "https://w3id.org/ro/terms/workflow-run/context"
SPDX: Final = "https://spdx.org/licenses/"
NO_LICENSE: Final = "#no-license"
# One that names a licence; "MIT OR Apache-2.0" is an expression.
_SPDX_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def crate_metadata(run: RecordedRun, files: Sequence[FileFact], facts: ArchiveFacts) -> bytes:
    """The content of `ro-crate-metadata.json`; equal for equal arguments.

    Args:
        run: what was run, by its manifest.
        files: every file of the payload but this one.
        facts: what whoever archives it tells.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=RO_CRATE_VERSION)
    crate.metadata.extra_contexts.append(CONTEXT)
    metadata = layout.below_payload(layout.CRATE_METADATA)
    listed = sorted((one for one in files if one.path != metadata), key=lambda one: one.path)
    add_files(crate, listed, facts.renamed)
    _describe(crate, run, facts)
    _describe_inputs(crate, run, facts)
    add_actions(crate, run, [one.path for one in listed])
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def _describe(crate: ROCrate, run: RecordedRun, facts: ArchiveFacts) -> None:
    """The root entity: what this is, by whom, under which licence."""
    root = crate.root_dataset
    verdict = run.manifest["verdict"]["state"]
    name = title(run)
    root["name"] = name
    root["description"] = (
        f"{name}: the original files, the export, the result, and what is needed to check that one"
        f" comes from the other. Verdict of the proof: {verdict}."
    )
    root["datePublished"] = facts.created
    root["conformsTo"] = add_entity(
        crate,
        PROFILE,
        {
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": PROFILE.rpartition("/")[2],
        },
    )
    root["license"] = _add_license(crate, facts.license)
    people = [_add_creator(crate, creator) for creator in facts.creators]
    if people:
        root["author"] = root["creator"] = one_or_more(people)
    if facts.citation is not None:
        root["citation"] = crate.get(quote(facts.citation))
    if facts.doi is not None:
        root["identifier"] = f"https://doi.org/{quote(facts.doi)}"


def _describe_inputs(crate: ROCrate, run: RecordedRun, facts: ArchiveFacts) -> None:
    """What the folders of the input files were called, and what the checkpoint comes from."""
    for recorded in run.inputs:
        folder = layout.below_payload(layout.input_folder(recorded.role))
        entity = crate.get(f"{folder}/")
        if entity is not None and recorded.folder.name:
            entity["alternateName"] = clean(f"{recorded.folder.name}/")
    original, code = crate.get(f"{ORIGINAL}/"), crate.get(f"{CODE}/")
    if code is not None and facts.code_version is not None:
        code["version"] = facts.code_version
    if original is not None and code is not None:
        original["isBasedOn"] = code


def title(run: RecordedRun) -> str:
    """What the archive is called."""
    checkpoint = run.input("checkpoint") or run.input("export")
    source = "a TensorFlow checkpoint" if checkpoint is None else checkpoint.folder.name
    if run.command == "extract":
        return clean(f"{source}, exported from TensorFlow 1.x")
    model = run.manifest["settings"]["load"]["model"].rpartition("/")[2]
    return clean(f"{source}, converted from TensorFlow 1.x to PyTorch as {model}")


def _add_license(crate: ROCrate, license: str | None) -> Entity:
    """The licence, which RO-Crate demands: without one, it is said that none was stated."""
    if license is None:
        return add_entity(
            crate,
            NO_LICENSE,
            {
                "@type": "CreativeWork",
                "name": "No licence was stated",
                "description": "Ask the creators before you use this.",
            },
        )
    file = crate.get(quote(license))
    if file is not None:
        return file
    identifier = license
    if _SPDX_IDENTIFIER.fullmatch(license):
        identifier = f"{SPDX}{license}"
    elif not license.startswith(("http://", "https://")):
        identifier = "#license"
    # Nothing is added to an address but what may not stand in one.
    identifier = quote(identifier, safe="%/:?#[]@!$&'()*+,;=")
    address = identifier if identifier.startswith("http") else None
    description = f"The licence {license}; identifiers are those of {SPDX}"
    return add_entity(
        crate,
        identifier,
        {
            "@type": "CreativeWork",
            "name": license,
            "description": description,
            "url": address,
        },
    )


def _add_creator(crate: ROCrate, creator: Creator) -> Entity:
    identifier = f"#person-{quote(creator.name)}"
    if creator.orcid is not None:
        identifier = f"https://orcid.org/{creator.orcid}"
    elif creator.mail is not None:
        identifier = f"mailto:{quote(creator.mail, safe='@')}"
    mail = creator.mail
    return add_entity(crate, identifier, {"@type": "Person", "name": creator.name, "email": mail})
