"""Archives are written by the host's side and read by stage 2, which share no code."""

from __future__ import annotations

import stage_load.bag
from orchestration.archive import layout


def test_both_sides_agree_on_where_the_result_lies():
    assert stage_load.bag.RESULT == layout.RESULT
