"""Programs, packages and container images as entities of an archive's metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from orchestration.archive import layout
from orchestration.archive.crate.entities import add_entity, clean, one_or_more
from orchestration.archive.crate.files import IMAGES, PROGRAM
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

_PROGRAM_LICENSE: Final = "https://spdx.org/licenses/Apache-2.0"
_TERMS: Final = "https://w3id.org/ro/terms/workflow-run#"
# Where images lie that no registry has, as Podman names it.
_NO_REGISTRY: Final = "localhost"
# Whose images a name without a registry means, by Docker's rule.
_DEFAULT_REGISTRY: Final = "docker.io"
_REFERENCE: Final = re.compile(
    r"(?:(?P<registry>[^/]*[.:][^/]*|localhost)/)?(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@.*)?"
)


def add_program(crate: ROCrate, run: RecordedRun) -> Entity:
    """This program, and its source if the archive has it."""
    version = str(run.manifest["program"]["version"])
    program = add_entity(
        crate,
        f"#{PROJECT}",
        {
            "@type": "SoftwareApplication",
            "name": PROJECT,
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


def add_image(crate: ROCrate, run: RecordedRun, stage: Stage) -> Entity:
    """A stage's image, with the one that it was made from, and its file in the archive."""
    image = run.images[stage]
    is_sif = run.runtime.name == "apptainer"
    parts = {"name": PurePosixPath(image.reference).name} if is_sif else _parts(image.reference)
    kind = "SIFImage" if is_sif else "DockerImage"
    return add_entity(
        crate,
        f"#image-{stage}",
        {
            **_image(parts, image.id, kind, _NO_REGISTRY),
            "isBasedOn": _add_base(crate, image),
            "associatedMedia": _image_file(
                crate, run, image.id, layout.SIF_SUFFIX if is_sif else layout.OCI_SUFFIX
            ),
        },
    )


def _add_base(crate: ROCrate, image: RecordedImage) -> Entity | None:
    """What an image was made from, where it tells."""
    name = image.base.get("name")
    if not name:
        return None
    told = _image(_parts(name), image.base.get("digest"), "DockerImage", _DEFAULT_REGISTRY)
    return add_entity(crate, f"#base-image-{image.stage}", told)


def _image_file(crate: ROCrate, run: RecordedRun, image_id: str, suffix: str) -> Entity | None:
    """The file of an image, which is there once for all stages that ran in it."""
    stages = (one.stage for one in run.images.values() if one.id == image_id)
    files = (crate.get(f"{IMAGES}/{stage}{suffix}") for stage in stages)
    return next((file for file in files if file is not None), None)


def _image(
    parts: Mapping[str, str | None], digest: str | None, kind: str, registry: str
) -> dict[str, Any]:
    """Properties of an image.

    Args:
        parts: registry, name and tag, as far as it has them.
        digest: "sha256:…", of whatever identifies it; None = not known.
        kind: of the profile's terms.
        registry: of an image whose reference has none.
    """
    return {
        "@type": "ContainerImage",
        "additionalType": {"@id": f"{_TERMS}{kind}"},
        "registry": parts.get("registry") or registry,
        "name": clean(str(parts["name"])),
        "tag": parts.get("tag"),
        "sha256": digest and digest.removeprefix("sha256:"),
    }


def _parts(reference: str) -> dict[str, str | None]:
    """Registry, name and tag of an image."""
    found = _REFERENCE.fullmatch(reference)
    return {"name": reference} if found is None else found.groupdict()


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
