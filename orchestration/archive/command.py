"""`orchestrate.py archive`: argv -> options -> a call."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import click

from orchestration import option_types
from orchestration.archive.crate.facts import Creator, parse_doi
from orchestration.archive.options import STREAM_SUFFIX, ArchiveOptions
from orchestration.command_options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    speech_options,
    with_options,
)
from orchestration.errors import EXIT_OK
from orchestration.printing import printable, size_text

# Of tools that were perhaps meant, and are not made here.
_OTHER_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z")
_SPDX: Final = re.compile(r"[A-Za-z0-9.+:() -]+")
_COLLECT: Final = ""


def _bag_path(text: str) -> Path:
    """A folder's path, or one that ends in .tar.zst."""
    path = option_types.path(text)
    name = path.name.lower()
    if not name or (name.endswith(_OTHER_SUFFIXES) and not path.name.endswith(STREAM_SUFFIX)):
        raise click.BadParameter(f"{text!r} is neither a folder's name nor one of a .tar.zst file.")
    return path


def license_given(text: str) -> str | Path:
    """A file's path, or what SPDX calls a licence, or an address."""
    path = option_types.path(text)
    if path.is_file():
        return path
    if text.startswith(("http://", "https://")) or _SPDX.fullmatch(text.strip()):
        return text.strip()
    raise click.BadParameter(
        f"{text!r} is neither a file nor an SPDX identifier such as Apache-2.0."
    )


def _creator(text: str) -> Creator:
    try:
        return Creator.parse(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _doi(text: str) -> str:
    try:
        return parse_doi(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


_what_to_keep = with_options(
    click.option("--with-images", is_flag=True, help="Keep the images that both stages ran in."),
    click.option(
        "--with-wheelhouse",
        "wheelhouse",
        is_flag=False,
        flag_value=_COLLECT,
        type=click.Path(path_type=str),
        metavar="[FOLDER]",
        help="Keep all packages: those of FOLDER, or, where it is missing or not given, they are"
        " collected.",
    ),
    click.option(
        "--with-code", "code", type=EXISTING_FOLDER, help="Keep the old training code, too."
    ),
    click.option(
        "--with-program/--without-program",
        default=True,
        show_default=True,
        help="Keep the source of this program.",
    ),
)
_what_to_tell = with_options(
    click.option(
        "--license",
        type=license_given,
        metavar="SPDX|FILE",
        help="Licence of the model: an identifier such as CC-BY-4.0, or its text.",
    ),
    click.option(
        "--creator",
        "creators",
        type=_creator,
        multiple=True,
        metavar="'NAME <ORCID>'",
        help="Who made it; an ORCID or a mail address may follow; repeatable.",
    ),
    click.option("--citation", type=EXISTING_FILE, help="File that tells how to cite it."),
    click.option("--doi", type=_doi, metavar="DOI", help="Under which it is published."),
    click.option(
        "--sign",
        type=EXISTING_FILE,
        metavar="KEY",
        help="Sign it with a private key as OpenSSH has them.",
    ),
)


@click.command()
@click.argument("result", metavar="RESULT", type=option_types.path)
@click.option(
    "--bag",
    type=_bag_path,
    required=True,
    metavar="PATH",
    help="What to make: a folder, or one file where the name ends in .tar.zst.",
)
@_what_to_keep
@_what_to_tell
@click.option("--force", is_flag=True, help="Replace an earlier bag.")
@speech_options
def archive(result: Path, **given: Any) -> int:
    """Put a result away for good: a bag (BagIt) with all that is needed to prove it again.

    RESULT is the folder of a result. The checkpoint and whatever else was read must still lie where
    they lay, unchanged. SOURCE_DATE_EPOCH fixes the dates in it.
    """
    from orchestration import session
    from orchestration.archive.making import archive as make
    from orchestration.summary import shown_path

    display = session.make_display(given["quiet"], given["verbose"])
    with session.ending_on_signals():
        try:
            made = make(_options(result, given), display, os.environ)
        finally:
            display.close()
    if not given["quiet"]:
        counts = f"{len(made.contents.entries) + 1:,} files, {size_text(made.payload_bytes)}"
        signed = "signed" if given["sign"] else "not signed"
        click.echo(printable(f"Archived in {shown_path(made.path)}: {counts}, {signed}"))
    return EXIT_OK


def _options(result: Path, given: dict[str, Any]) -> ArchiveOptions:
    license, wheelhouse = given["license"], given["wheelhouse"]
    return ArchiveOptions(
        result=result,
        bag=given["bag"],
        with_images=given["with_images"],
        with_wheelhouse=wheelhouse is not None,
        wheelhouse=option_types.path(wheelhouse) if wheelhouse else None,
        code=given["code"],
        with_program=given["with_program"],
        license=license if isinstance(license, str) else None,
        license_file=license if isinstance(license, Path) else None,
        creators=given["creators"],
        citation=given["citation"],
        doi=given["doi"],
        sign=given["sign"],
        force=given["force"],
    )
