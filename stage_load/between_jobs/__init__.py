"""Nothing of one job reaches the next: a user's own model may change the whole process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from stage_load.between_jobs.modules import kept_modules
from stage_load.between_jobs.patches import kept_functions
from stage_load.between_jobs.settings import kept_settings
from stage_load.initialised import seeded


@contextmanager
def leaving_no_trace() -> Iterator[None]:
    """Run a job that begins with the same random numbers as any other, and put everything back.

    What cannot be put back: threads that were started, and what an installed package keeps.
    """
    with ExitStack() as kept:
        for keep in (kept_functions, kept_modules, kept_settings, warnings.catch_warnings, seeded):
            kept.enter_context(keep())
        yield
