#!/usr/bin/env python3
"""The command line: argv -> frozen settings -> a call. The one place that exits."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while the rest is imported ends the program as it ends others: without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import sys

if os.path.isfile(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../bagit.txt")):
    # An archive's own copy: byte code would be files there that do not belong to it.
    sys.dont_write_bytecode = True

import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestration import option_types
from orchestration import settings as s
from orchestration.archive.command import archive
from orchestration.archive.verify.command import verify
from orchestration.batch.command import batch
from orchestration.build_options import build_options, build_settings
from orchestration.command_options import (
    DefaultCommandGroup,
    load_options,
    model_options,
    output_options,
    package_options,
    runtime_options,
    runtime_settings,
    speech_options,
    transfer_options,
)
from orchestration.errors import (
    EXIT_INTERNAL_ERROR,
    EXIT_INTERRUPTED,
    EXIT_OK,
    OrchestrationError,
    StageFailed,
    Terminated,
    exit_code_of,
)
from orchestration.hub.command import export
from orchestration.printing import printable, say
from orchestration.reading_options import checkpoint_options, extract_options, reference_options
from orchestration.rerun_command import rerun
from orchestration.run_paths import cache_folder, default_out
from orchestration.summary import error_lines, kept_words, shown_path, summary_lines, verdict_color

if TYPE_CHECKING:
    from orchestration.run_context import Outcome, RunContext

STARTED_S = time.monotonic()
Result = TypeVar("Result")


@click.group(cls=DefaultCommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Turn a TensorFlow 1 checkpoint into a loaded PyTorch model, and prove that both agree.

    \b
    orchestrate.py CKPT --model unet
    is short for
    orchestrate.py convert CKPT --model unet

    CKPT is a folder, a prefix such as model.ckpt-1000, any one of a checkpoint's files, a
    SavedModel, a frozen graph, a Keras file, or an archive of one of these.
    """


@cli.command()
@click.argument("checkpoint", metavar="CKPT", type=option_types.path)
@model_options
@transfer_options
@output_options
@checkpoint_options
@reference_options
@runtime_options
@package_options
@speech_options
def convert(checkpoint: Path, **given: Any) -> int:
    """Export, load and prove in one go (the default command)."""
    from orchestration import pipeline

    settings = s.ConvertSettings(
        checkpoint=checkpoint,
        out=given["out"] or default_out(checkpoint, "torch"),
        force=given["force"],
        extract=extract_options(given, reference=given["prove"]),
        load=load_options(given),
        runtime=runtime_settings(given),
    )
    outcome = _run(given, settings.runtime, lambda context: pipeline.convert(settings, context))
    return _show_outcome(outcome, given["quiet"])


@cli.command()
@click.argument("checkpoint", metavar="CKPT", type=option_types.path)
@output_options
@checkpoint_options
@reference_options
@click.option("--reference/--no-reference", default=True, help="Record what the graph computes.")
@runtime_options
@speech_options
def extract(checkpoint: Path, **given: Any) -> int:
    """Stage 1 alone: variables, graph and reference run as plain files."""
    from orchestration import pipeline

    settings = s.ExtractSettings(
        checkpoint=checkpoint,
        out=given["out"] or default_out(checkpoint, "export"),
        force=given["force"],
        extract=extract_options(given, reference=given["reference"]),
        runtime=runtime_settings(given),
    )
    outcome = _run(given, settings.runtime, lambda context: pipeline.extract(settings, context))
    return _show_outcome(outcome, given["quiet"])


@cli.command()
@click.argument("export", metavar="EXPORT", type=option_types.path)
@model_options
@transfer_options
@output_options
@runtime_options
@package_options
@speech_options
def load(export: Path, **given: Any) -> int:
    """Stage 2 alone, from an export made here or elsewhere."""
    from orchestration import pipeline

    settings = s.LoadSettings(
        export=export,
        out=given["out"] or default_out(export, "torch"),
        force=given["force"],
        load=load_options(given),
        runtime=runtime_settings(given),
    )
    outcome = _run(given, settings.runtime, lambda context: pipeline.load(settings, context))
    return _show_outcome(outcome, given["quiet"])


@cli.command()
@click.argument("checkpoint", metavar="CKPT", type=option_types.path)
@checkpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@runtime_options
@speech_options
def inspect(checkpoint: Path, as_json: bool, **given: Any) -> int:
    """What is inside: variables, sizes, operations, inputs and outputs."""
    from orchestration import pipeline

    options = extract_options(given, reference=False)
    settings = s.InspectSettings(checkpoint, options, runtime_settings(given))
    found = _run(given, settings.runtime, lambda context: pipeline.inspect(settings, context))
    if as_json:
        click.echo(json.dumps(found, indent=1, sort_keys=True))
        return EXIT_OK
    from orchestration.inspection_tables import print_inspection

    print_inspection(found, sys.stdout)
    return EXIT_OK


@cli.command()
@build_options
@speech_options
def build(**given: Any) -> int:
    """Build the images of both stages, online or from a wheelhouse."""
    from orchestration import session

    display = session.make_display(given["quiet"], given["verbose"])
    with session.ending_on_signals():
        session.build(build_settings(given), display.notify)
    return EXIT_OK


@cli.command()
@runtime_options
@speech_options
def doctor(**given: Any) -> int:
    """What works on this machine, and how to mend what does not."""
    from orchestration.doctor import diagnose
    from orchestration.summary import check_lines

    checks = diagnose(runtime_settings(given))
    for line, color in check_lines(checks):
        say(line, color)
    return EXIT_OK


for command in (archive, batch, export, rerun, verify):
    cli.add_command(command)


def main(arguments: Sequence[str]) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code. Errors have been printed.
    """
    verbose = "--verbose" in arguments or "-v" in arguments
    sys.excepthook = _internal_error_hook(verbose)
    try:
        code = cli.main(list(arguments), prog_name="orchestrate.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OrchestrationError as error:
        _print_error(error, verbose)
        return exit_code_of(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"Interrupted; {kept_words(arguments)}.", err=True)
        return EXIT_INTERRUPTED
    except Terminated as error:
        click.echo(f"Terminated; {kept_words(arguments)}.", err=True)
        return 128 + error.signal_number
    return code if isinstance(code, int) else EXIT_OK


def _run(
    given: dict[str, Any], options: s.RuntimeOptions, action: Callable[[RunContext], Result]
) -> Result:
    """Run a command with the display that the options ask for."""
    from orchestration import session

    display = session.make_display(given["quiet"], given["verbose"])
    return session.run_command(action, options, display, STARTED_S)


def _show_outcome(outcome: Outcome, quiet: bool) -> int:
    """Print the summary: all of it, or with --quiet the first line of one that is no success."""
    lines = summary_lines(outcome.out, outcome.manifest, outcome.is_new)
    if not quiet:
        say(lines[0], verdict_color(outcome.manifest), bold=True)
        click.echo("\n".join(lines[1:]))
    elif outcome.exit_code != EXIT_OK:
        click.echo(lines[0], err=True)
    return outcome.exit_code


def _print_error(error: OrchestrationError, verbose: bool) -> None:
    first, *rest = error_lines(error)
    say(first, "red", bold=True, err=True)
    click.echo("\n".join(rest), err=True)
    if isinstance(error, StageFailed) and error.stage_traceback:
        _keep_traceback(str(error.stage_traceback), verbose)


def _internal_error_hook(
    verbose: bool,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """What prints an error of this program itself; Python then exits with 1."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        say(f"Error: InternalError (exit code {EXIT_INTERNAL_ERROR})", "red", err=True)
        click.echo(f"  {kind.__name__}: {printable(str(error))}", err=True)
        click.echo("  This is a bug. Please report it.", err=True)
        _keep_traceback(text, verbose)

    return show


def _keep_traceback(text: str, verbose: bool) -> None:
    """Write a traceback to a log file, and to the terminal if asked for."""
    folder = cache_folder(os.environ) / "logs"
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{sys.argv}\n\n{text}", encoding="utf-8", errors="backslashreplace")
        click.echo(f"  The details are in {shown_path(path)}", err=True)
    except OSError:
        verbose = True
    if verbose:
        click.echo(printable(text), err=True)


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
