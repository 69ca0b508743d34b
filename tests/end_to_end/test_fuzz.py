"""A short run of what `make fuzz` does for ten minutes; and its figures in the README."""

from __future__ import annotations

import json

import pytest

from tests.fuzz.run import GROUPS, fuzz, show
from tests.fuzz.table import README, RESULTS, inserted, table

SECONDS = 40


@pytest.mark.slow
def test_nothing_is_found_in_a_short_run():
    tallies = fuzz([*GROUPS], SECONDS, 0)
    show(tallies)
    assert [finding for tally in tallies.values() for finding in tally.findings] == []
    for group, tally in tallies.items():
        assert tally.next_number > 10, f"{group}: {tally.next_number} inputs only"


def test_the_readme_has_the_figures_of_the_last_run():
    text = README.read_text(encoding="utf-8")
    assert inserted(text, table(json.loads(RESULTS.read_text(encoding="utf-8")))) == text
