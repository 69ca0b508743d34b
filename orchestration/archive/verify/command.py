"""`orchestrate.py verify`: argv -> settings -> a call -> a table, or JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration import option_types
from orchestration.command_options import (
    EXISTING_FILE,
    runtime_options,
    runtime_settings,
    speech_options,
)
from orchestration.printing import say

if TYPE_CHECKING:
    from orchestration.archive.verify.verdicts import Verification


@click.command()
@click.argument("bag", metavar="BAG", type=option_types.path)
@click.option(
    "--rerun",
    is_flag=True,
    help="Repeat the whole conversion by the images in the bag, and compare every byte.",
)
@click.option(
    "--fixity-only", is_flag=True, help="Look at files, signature and records; run nothing."
)
@click.option(
    "--key",
    type=EXISTING_FILE,
    metavar="FILE",
    help="Public key (OpenSSH), or list of allowed signers, of whom one must have signed.",
)
@click.option(
    "--trust-code", is_flag=True, help="Run a model of somebody's own, whose code is in the bag."
)
@click.option(
    "--reader",
    type=click.Choice(["auto", "pure", "tf"]),
    default="auto",
    show_default=True,
    help="What reads the original again; auto is without TensorFlow where that reads the format.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@runtime_options
@speech_options
def verify(bag: Path, as_json: bool, **given: Any) -> int:
    """Check an archive: its files, its signature, and every step from original to proof."""
    from orchestration import session
    from orchestration.archive.progress import ByteProgress
    from orchestration.archive.verify.settings import VerifySettings
    from orchestration.archive.verify.verification import verify as check_bag

    settings = VerifySettings(
        bag=bag,
        rerun=given["rerun"],
        fixity_only=given["fixity_only"],
        key=given["key"],
        trust_code=given["trust_code"],
        reader=given["reader"],
        runtime=runtime_settings(given),
    )
    display = session.make_display(given["quiet"], given["verbose"])
    progress = ByteProgress(display, f"Reading {bag.resolve().name}", 0)
    found = session.run_command(
        lambda context: check_bag(settings, context, progress.show),
        settings.runtime,
        display,
        time.monotonic(),
    )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1, sort_keys=True))
    elif not given["quiet"] or found.exit_code:
        _show(found)
    return found.exit_code


def _show(found: Verification) -> None:
    from orchestration.archive.verify.table import table_lines

    for index, (line, color) in enumerate(table_lines(found)):
        say(line, color, bold=index == 0)
