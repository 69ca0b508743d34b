"""Programs, packages and container images as entities of an archive's metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from orchestration.archive.crate_entities import add_entity, clean, one_or_more
from orchestration.archive.crate_files import IMAGES, PROGRAM
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.runtimes.base import Stage

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

PROGRAM_NAME: Final = "tf1-to-torch"
_PROGRAM_LICENSE: Final = "https://spdx.org/licenses/Apache-2.0"
_IMAGE_TYPES: Final = "https://w3id.org/ro/terms/workflow-run#"
# Where images lie that no registry has, as Podman names it.
_NO_REGISTRY: Final = "localhost"
_REFERENCE: Final = re.compile(
    r"(?:(?P<registry>[^/]*[.:][^/]*|localhost)/)?(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@.*)?"
)


def add_program(crate: ROCrate, run: RecordedRun) -> Entity:
    """This program, and its source if the archive has it."""
    version = str(run.manifest["program"]["version"])
    program = add_entity(
        crate,
        f"#{PROGRAM_NAME}",
        {
            "@type": "SoftwareApplication",
            "name": PROGRAM_NAME,
            "softwareVersion": version,
            "license": _add_program_license(crate),
            "url": crate.get(f"{PROGRAM}/"),
        },
    )
    source = crate.get(f"{PROGRAM}/")
    if source is not None:
        source["version"] = version
        source["license"] = _add_program_license(crate)
        source["programmingLanguage"] = "Python"
        source["targetProduct"] = program
    return program


def add_stage_program(crate: ROCrate, run: RecordedRun, stage: Stage, program: Entity) -> Entity:
    """The part of this program that a stage is, with what it needs."""
    record = run.manifest[stage]
    requirements = [
        _add_package(crate, name, str(version)) for name, version in record["versions"].items()
    ]
    environment = record["environment"]
    if environment is not None:
        requirements.append(_add_environment(crate, stage, environment))
    return add_entity(
        crate,
        f"#stage_{stage}",
        {
            "@type": "SoftwareApplication",
            "name": f"stage_{stage}",
            "softwareVersion": program["softwareVersion"],
            "isPartOf": program,
            "url": program.get("url"),
            "softwareRequirements": one_or_more(requirements),
        },
    )


def add_image(crate: ROCrate, image: RecordedImage) -> Entity:
    """The image that a stage ran in, with the one it was made from and its file in the archive."""
    is_sif = image.reference.endswith(".sif")
    if is_sif:
        parts: Mapping[str, str | None] = {"name": PurePosixPath(image.reference).name}
    else:
        found = _REFERENCE.fullmatch(image.reference)
        parts = {"name": image.reference} if found is None else found.groupdict()
    file = f"{IMAGES}/{image.stage}{'.sif' if is_sif else '.oci.tar'}"
    return add_entity(
        crate,
        f"#image-{image.stage}",
        {
            "@type": "ContainerImage",
            "additionalType": {"@id": f"{_IMAGE_TYPES}{'SIFImage' if is_sif else 'DockerImage'}"},
            "registry": parts.get("registry") or _NO_REGISTRY,
            "name": clean(str(parts["name"])),
            "tag": parts.get("tag"),
            "sha256": image.id.removeprefix("sha256:"),
            "isBasedOn": _add_base(crate, image),
            "associatedMedia": crate.get(file),
        },
    )


def _add_base(crate: ROCrate, image: RecordedImage) -> Entity | None:
    name, digest = image.base.get("name"), image.base.get("digest")
    if not name:
        return None
    found = _REFERENCE.fullmatch(name)
    parts = {"name": name} if found is None else found.groupdict()
    return add_entity(
        crate,
        f"#base-image-{image.stage}",
        {
            "@type": "ContainerImage",
            "additionalType": {"@id": f"{_IMAGE_TYPES}DockerImage"},
            # Docker's own rule for a name without one.
            "registry": parts.get("registry") or "docker.io",
            "name": clean(str(parts["name"])),
            "tag": parts.get("tag"),
            "sha256": digest.removeprefix("sha256:") if digest else None,
        },
    )


def _add_package(crate: ROCrate, name: str, version: str) -> Entity:
    """A Python package, or Python."""
    public, _, local = version.partition("+")
    url = f"https://pypi.org/project/{name}/{public}/{f'#{local}' if local else ''}"
    if name == "python":
        url = f"https://www.python.org/#{version}"
    return add_entity(
        crate,
        url,
        {
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
            "url": url,
        },
    )


def _add_environment(crate: ROCrate, stage: Stage, environment: Mapping[str, Any]) -> Entity:
    """An environment of the local runtime: its lock, and every package in it.

    One that the user brought has no lock here.
    """
    lock, sha256 = environment["lock"], environment["lock_sha256"]
    packages = environment["packages"]
    file = crate.get(f"{PROGRAM}/docker/{lock}")
    return add_entity(
        crate,
        f"#environment-{stage}",
        {
            "@type": "SoftwareApplication",
            "name": f"Python environment of {lock or 'the user'}",
            "softwareVersion": sha256 and f"sha256:{sha256}",
            # The source that is archived may have another than the one that was used.
            "url": file if file is not None and file["sha256"] == sha256 else None,
            "softwareRequirements": one_or_more(
                [_add_package(crate, name, packages[name]) for name in sorted(packages)]
            ),
        },
    )


def _add_program_license(crate: ROCrate) -> Entity:
    return add_entity(
        crate,
        _PROGRAM_LICENSE,
        {
            "@type": "CreativeWork",
            "name": "Apache-2.0",
            "description": "Apache License 2.0",
            "url": _PROGRAM_LICENSE,
        },
    )
