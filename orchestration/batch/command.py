"""`orchestrate.py batch`: argv -> items and settings -> a call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestration import option_types
from orchestration.batch.options import (
    batch_settings,
    check_options,
    slurm_options,
    slurm_settings,
    state_options,
    work_options,
)
from orchestration.batch.settings import BatchFolder, BatchSettings
from orchestration.command_options import (
    default_model_options,
    force_option,
    package_options,
    runtime_options,
    speech_options,
    transfer_options,
)
from orchestration.errors import EXIT_OK
from orchestration.printing import printable
from orchestration.reading_options import checkpoint_options, reference_options

if TYPE_CHECKING:
    from orchestration.batch.items import Item
    from orchestration.batch.stored_items import Listed
    from orchestration.run_context import RunContext

Result = TypeVar("Result")


@click.command()
@click.argument("sources", metavar="[ITEMS]", nargs=-1)
@click.option(
    "--out",
    type=option_types.path,
    required=True,
    metavar="FOLDER",
    help="Folder of all results; what is done in it already is not done again.",
)
@work_options
@state_options
@slurm_options
@default_model_options
@transfer_options
@force_option
@checkpoint_options
@reference_options
@runtime_options
@package_options
@speech_options
def batch(sources: tuple[str, ...], **given: Any) -> int:
    """Convert many checkpoints, and go on where an earlier run has ended.

    ITEMS is a CSV or JSON Lines file with a column `checkpoint`, or a glob in quotes, such as
    'runs/*/ckpt'. Options of the single command are columns of the file; given here, they hold
    for each row that does not say otherwise.
    """
    check_options(given)
    settings = batch_settings(given)
    folder = BatchFolder(settings.out)
    source = _source(sources)
    if given["cancel"]:
        from orchestration.batch.slurm import cancel

        return cancel(folder)
    if given["status"]:
        from orchestration.batch.status import show_status

        listed = _listed(source, given, settings)
        return show_status(folder, listed, as_json=given["as_json"], only_failed=given["failed"])
    items = _items(source, given, settings)
    if given["slurm"]:
        return _submit(items, given, settings)
    if settings.shard is not None:
        from orchestration.batch.plan import items_of_shard

        items = items_of_shard(items, settings.shard, folder, is_dry_run=given["dry_run"])
    if given["dry_run"]:
        return _show_items(items)
    return _run(items, given, settings)


def _source(sources: tuple[str, ...]) -> str | None:
    if len(sources) > 1:
        raise click.UsageError(
            f"{len(sources):,} items files or globs were given; put a glob into quotes, such as"
            " 'runs/*/ckpt', so that the shell leaves it as it is. Several become one items file."
        )
    return sources[0] if sources else None


def _items(source: str | None, given: dict[str, Any], settings: BatchSettings) -> Sequence[Item]:
    """The items asked for, or those of the latest run where only its failures are to be redone."""
    from orchestration.batch.items import read_items
    from orchestration.batch.stored_items import latest_items, store_items

    folder = BatchFolder(settings.out)
    if source is None:
        if not settings.retry_failed:
            raise click.UsageError("Missing argument 'ITEMS': a CSV or JSON Lines file, or a glob.")
        source = str(latest_items(folder))
    items = read_items(source, given, settings.out)
    if not given["dry_run"] and not given["status"]:
        store_items(items, folder)
    return items


def _listed(source: str | None, given: dict[str, Any], settings: BatchSettings) -> Sequence[Listed]:
    from orchestration.batch.stored_items import latest_items, listed, stored_list

    if source is not None:
        return listed(_items(source, given, settings))
    return stored_list(latest_items(BatchFolder(settings.out)))


def _show_items(items: Sequence[Item]) -> int:
    for item in items:
        checkpoint = item.settings.checkpoint
        click.echo(printable(f"{item.name}\t{item.size_bytes}\t{checkpoint}\t{item.where}"))
    return EXIT_OK


def _submit(items: Sequence[Item], given: dict[str, Any], settings: BatchSettings) -> int:
    from orchestration.batch.slurm import submit

    slurm = slurm_settings(given, len(items))
    return _with_context(given, settings, lambda context: submit(settings, slurm, items, context))


def _run(items: Sequence[Item], given: dict[str, Any], settings: BatchSettings) -> int:
    from orchestration.batch.run import run_batch
    from orchestration.batch.summary import HTML_FILE
    from orchestration.summary import shown_path

    outcome = _with_context(given, settings, lambda context: run_batch(settings, items, context))
    if not given["quiet"]:
        counts = f"{outcome.done:,} done, {outcome.failed:,} failed, {outcome.left:,} left"
        again = " (the same command again does the rest)" if outcome.left else ""
        click.echo(printable(f"{counts}{again}; see {shown_path(settings.out / HTML_FILE)}"))
    if settings.requeue:
        from orchestration.batch.slurm_requeue import requeue_if_useful

        requeue_if_useful(outcome, os.environ)
    return outcome.exit_code


def _with_context(
    given: dict[str, Any], settings: BatchSettings, action: Callable[[RunContext], Result]
) -> Result:
    from orchestration import session

    display = session.make_display(given["quiet"], given["verbose"])
    return session.run_command(action, settings.runtime, display, time.monotonic())
