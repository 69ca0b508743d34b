"""What surrounds a command: the display, the signals that end it, the questions it may ask."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

import click

from orchestration.display import LineDisplay, QuietDisplay, TerminalDisplay
from orchestration.errors import FeatureUnavailable, ImageMissing, Terminated
from orchestration.run_context import RunContext
from orchestration.runtimes.base import Notify
from orchestration.runtimes.registry import choose_runtime
from orchestration.settings import BuildSettings, ImageRuntimeName, RuntimeOptions

if TYPE_CHECKING:
    from orchestration.images import BuiltImage

Display = QuietDisplay | LineDisplay | TerminalDisplay
Result = TypeVar("Result")


def make_display(quiet: bool, verbose: bool) -> Display:
    """Bars on a terminal, plain lines elsewhere; all on stderr, so that stdout holds results."""
    if quiet:
        return QuietDisplay(sys.stderr)
    if verbose or not sys.stderr.isatty():
        return LineDisplay(sys.stderr, verbose)
    return TerminalDisplay(sys.stderr)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that they clean up as Ctrl-C does."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, terminate) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def run_command(
    action: Callable[[RunContext], Result],
    options: RuntimeOptions,
    display: Display,
    started_s: float,
) -> Result:
    """Choose the runtime and run a command on it; offer to build a missing image.

    Args:
        action: the command.
        options: how stages are to be run.
        display: where progress goes.
        started_s: `time.monotonic()` when the program started.
    """
    with ending_on_signals():
        try:
            context = RunContext(
                choose=lambda: choose_runtime(options, os.environ, display.notify),
                display=display,
                argv=tuple(sys.argv),
                environment=os.environ,
                started_s=started_s,
            )
            try:
                return action(context)
            except ImageMissing as error:
                display.close()
                if not _wants_build(error):
                    raise
                build(
                    BuildSettings(
                        torch_variant=options.torch_variant,
                        requirements=options.requirements,
                        runtime=_image_runtime(context.runtime.name),
                    ),
                    display.notify,
                )
                return action(context)
        finally:
            display.close()


def build(settings: BuildSettings, notify: Notify) -> None:
    """Build the images and say what they are called; fill the wheelhouse first where need be.

    Raises:
        WheelhouseIncomplete, DiskFull, OutputNotWritable: it cannot be filled.
        EngineNotInstalled, EngineNotRunning, EngineForbidden, ImageBuildFailed: it did not work.
        ImageMissing, FeatureUnavailable: there is nothing to take over, or nobody to give it to.
    """
    _fill_wheelhouse(settings, notify)
    if settings.collect_only:
        return
    verb = "Have" if settings.from_docker else "Built"
    for image in _builder(settings)(settings, notify):
        size_mb = image.size_bytes / 1e6
        notify(f"{verb} {image.name} ({image.digest}, {size_mb:,.0f} MB)")


def _fill_wheelhouse(settings: BuildSettings, notify: Notify) -> None:
    folder = settings.wheelhouse
    # What others have built needs no packages.
    if folder is None or settings.from_docker or settings.from_archives:
        return
    from orchestration.collecting import collect, needs_collecting, wanted_packages

    if settings.collect_only or needs_collecting(folder):
        notify(f"Collecting the packages of both images and of the host side into {folder}")
        packages = wanted_packages(settings.torch_variant)
        collect(folder, packages, settings.torch_index, notify)


def _builder(settings: BuildSettings) -> Callable[[BuildSettings, Notify], list[BuiltImage]]:
    """Who makes the images; imported only now, most commands do not need it."""
    given = {"--from-archive": settings.from_archives, "--sif-folder": settings.sif_folder}
    options = [name for name, value in given.items() if value]
    if options and settings.runtime != "apptainer":
        raise FeatureUnavailable(
            f"{' and '.join(options)} was given, and the images are for {settings.runtime}.",
            "That option is about Apptainer's files.",
            "Add `--runtime apptainer`, or leave the option out.",
        )
    if settings.runtime == "apptainer":
        from orchestration.sif.build import build_sifs

        return build_sifs
    if settings.from_docker:
        from orchestration.image_transfer import take_over_images

        return take_over_images
    from orchestration.images import build_images

    return build_images


def _image_runtime(name: str) -> ImageRuntimeName:
    """Whose images a runtime needs."""
    names: tuple[ImageRuntimeName, ...] = ("podman", "apptainer")
    return next((one for one in names if one == name), "docker")


def _wants_build(error: ImageMissing) -> bool:
    """Ask at a terminal; anywhere else nobody would answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(f"{error.happened} {error.expected}", err=True)
    return click.confirm("Build it now?", default=True, err=True)
