"""Options of `orchestrate.py batch` for the tasks of a job: those of the submitting command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestration.batch.settings import BYTES_OF_A_GB, DEFAULT_RECYCLE_AFTER, BatchSettings
from orchestration.settings import RuntimeOptions


def task_arguments(settings: BatchSettings, runtime: str) -> tuple[str, ...]:
    """The options, one word each; options of items are in their rows.

    Args:
        settings: of the submitting command.
        runtime: the one that was found to work where the job was submitted, so that no task
            chooses another.
    """
    words = ["--runtime", runtime]
    for name, value in (*_runtime_values(settings.runtime), *_batch_values(settings)):
        if value is True:
            words.append(name)
        elif value not in (None, False):
            words += [name, str(value)]
    return tuple(words)


def _runtime_values(options: RuntimeOptions) -> Iterator[tuple[str, str | int | Path | None]]:
    yield "--image-extract", _image(options.extract_image)
    yield "--image-load", _image(options.load_image)
    yield "--device", None if options.device == "auto" else options.device
    yield "--memory-limit", options.memory_limit_bytes
    yield "--legacy-python", options.legacy_python
    yield "--load-python", options.load_python
    yield "--wheelhouse", options.wheelhouse
    yield "--torch", None if options.torch_variant == "cpu" else options.torch_variant
    yield "--requirements", options.requirements
    yield "--unsquash", options.unsquash


def _batch_values(settings: BatchSettings) -> Iterator[tuple[str, str | float | bool | None]]:
    memory_bytes, recycle_after = settings.memory_bytes, settings.recycle_after
    yield "--jobs", settings.jobs
    yield "--memory-gb", None if memory_bytes is None else memory_bytes / BYTES_OF_A_GB
    yield "--item-timeout", settings.item_timeout_s
    yield "--recycle-after", None if recycle_after == DEFAULT_RECYCLE_AFTER else recycle_after
    yield "--force", settings.force
    yield "--retry-failed", settings.retry_failed
    yield "--verify", settings.verify


def _image(image: str | None) -> str | None:
    """An image's name, or the path of its file from the root: tasks may start in another folder."""
    return os.path.abspath(image) if image is not None and os.path.exists(image) else image
