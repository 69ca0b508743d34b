"""`orchestrate.py export`: argv -> options -> a call."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from orchestration import option_types
from orchestration.archive.command import license_given
from orchestration.archive.options import STREAM_SUFFIX
from orchestration.command_options import speech_options
from orchestration.errors import EXIT_OK
from orchestration.hub.options import HubOptions, License
from orchestration.printing import printable

# What could be taken for the state of this command.
_STATES = {"failed": "the model's proof has failed", "unproven": "the model is not proven"}


@click.command()
@click.argument("source", metavar="RESULT", type=option_types.path)
@click.option(
    "--to",
    "target",
    type=click.Choice(["huggingface"]),
    required=True,
    help="For whom: huggingface_hub's PyTorchModelHubMixin, and safetensors alone.",
)
@click.option("--out", type=option_types.path, help="Folder to make; default: <name>-huggingface.")
@click.option(
    "--license",
    type=license_given,
    metavar="SPDX|FILE",
    help="Licence of the model: an identifier such as CC-BY-4.0, or its text; default: the"
    " archive's, else unknown.",
)
@click.option("--force", is_flag=True, help="Replace an earlier folder of this kind.")
@speech_options
def export(source: Path, target: str, **given: Any) -> int:
    """Write a result as a folder that others read: weights, configuration, model card.

    RESULT is the folder of a result, or an archive, which is checked first. Nothing is sent
    anywhere.
    """
    del target
    from orchestration import session
    from orchestration.archive.progress import ByteProgress
    from orchestration.hub.export import export_to_hub
    from orchestration.hub.licenses import UNKNOWN
    from orchestration.summary import shown_path

    out = given["out"] or default_out(source)
    options = HubOptions(source, out, _license(given["license"]), given["force"])
    display = session.make_display(given["quiet"], given["verbose"])
    with closing(display), session.ending_on_signals():
        made = export_to_hub(options, ByteProgress(display, "Exporting", 0).show)
    if not given["quiet"]:
        state = _STATES.get(made.state, made.state)
        told = f"Exported to {shown_path(made.out)}: {state}, licence {made.license}"
        hint = " (--license names it)" if made.license == UNKNOWN else ""
        click.echo(printable(told + hint))
    return EXIT_OK


def _license(given: str | Path | None) -> License | None:
    if given is None or isinstance(given, str):
        return None if given is None else License(given)
    return License(given.name, given)


def default_out(source: Path) -> Path:
    """`<name>-huggingface` in the current folder."""
    name = source.resolve().name.removesuffix(STREAM_SUFFIX).removesuffix(".bag")
    return Path.cwd() / f"{name}-huggingface"
