"""The options of `build`, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestration import option_types
from orchestration import settings as s
from orchestration.command_options import EXISTING_FILE, with_options
from orchestration.own_packages import requirements_file

build_options = with_options(
    click.option(
        "--runtime",
        type=click.Choice(["docker", "podman", "apptainer"]),
        default="docker",
        show_default=True,
        help="Whose images.",
    ),
    click.option(
        "--from-docker",
        is_flag=True,
        help="Build nothing: take the images over that this machine's Docker engine has.",
    ),
    click.option(
        "--from-archive",
        "from_archives",
        type=EXISTING_FILE,
        multiple=True,
        help="Apptainer: make files of what `docker save` wrote, or an OCI archive; repeatable.",
    ),
    click.option(
        "--sif-folder",
        type=option_types.path,
        metavar="FOLDER",
        help="Apptainer: put the files there, for others too; default: your cache folder.",
    ),
    click.option(
        "--stage",
        "stages",
        type=click.Choice(["extract", "load"]),
        multiple=True,
        help="Only this stage's image; default: both.",
    ),
    click.option(
        "--extract-base-image",
        default=s.DEFAULT_EXTRACT_BASE_IMAGE,
        show_default=True,
        help="Image with CPython 3.7.",
    ),
    click.option(
        "--load-base-image",
        default=s.DEFAULT_LOAD_BASE_IMAGE,
        show_default=True,
        help="Image with CPython 3.11.",
    ),
    click.option(
        "--wheelhouse",
        type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
        metavar="FOLDER",
        help="Build from this folder of packages, without network; a missing or empty one is filled"
        " first.",
    ),
    click.option(
        "--collect-only",
        is_flag=True,
        help="Put into the wheelhouse what it lacks, and build nothing.",
    ),
    click.option(
        "--torch-index",
        default=s.CPU_TORCH_INDEX,
        show_default=True,
        metavar="URL",
        help="Where torch's CPU build is published, unless pip's settings lead to it; ''"
        " for nowhere else.",
    ),
    click.option(
        "--torch",
        "torch_variant",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Which build of torch the load image gets.",
    ),
    click.option("--no-cache", is_flag=True, help="Build every layer anew."),
    click.option(
        "--requirements",
        type=requirements_file,
        metavar="FILE",
        help="Build a load image with these packages of yours, too.",
    ),
)


def build_settings(given: Mapping[str, Any]) -> s.BuildSettings:
    """Settings of a build from parsed options."""
    if given["collect_only"] and given["wheelhouse"] is None:
        raise click.UsageError("--collect-only wants a folder: add --wheelhouse FOLDER.")
    return s.BuildSettings(
        stages=given["stages"] or s.BuildSettings.stages,
        extract_base_image=given["extract_base_image"],
        load_base_image=given["load_base_image"],
        wheelhouse=given["wheelhouse"],
        torch_variant=given["torch_variant"],
        torch_index=given["torch_index"],
        collect_only=given["collect_only"],
        no_cache=given["no_cache"],
        requirements=given["requirements"],
        runtime=given["runtime"],
        from_docker=given["from_docker"],
        from_archives=given["from_archives"],
        sif_folder=given["sif_folder"],
    )
