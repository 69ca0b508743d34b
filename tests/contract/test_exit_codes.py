"""Every exit code means one thing, whichever part of the program ends with it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import orchestration.errors
import stage_extract.errors
import stage_load.errors

README = Path(__file__).parents[2] / "README.md"
# 0 success, 1 an error of the program itself, 2 wrong usage, 130 and 143 stopped by a signal.
RESERVED = {0, 1, 2, 130, 143}
PARTS = [
    pytest.param(orchestration.errors, {*range(10, 30), *range(70, 90)}, id="host"),
    pytest.param(stage_extract.errors, range(30, 50), id="extract"),
    pytest.param(stage_load.errors, range(50, 70), id="load"),
]


def own_codes(module: ModuleType) -> dict[str, int]:
    """Give the exit code of every error class that a module defines."""
    return {
        name: one.exit_code
        for name, one in inspect.getmembers(module, inspect.isclass)
        if one.__module__ == module.__name__ and isinstance(getattr(one, "exit_code", None), int)
    }


def all_codes() -> dict[str, int]:
    found: dict[str, int] = {}
    for module in (orchestration.errors, stage_extract.errors, stage_load.errors):
        for name, code in own_codes(module).items():
            found[f"{module.__name__}.{name}"] = code
    return found


@pytest.mark.parametrize(("module", "allowed"), PARTS)
def test_a_part_keeps_to_its_range(module, allowed):
    codes = own_codes(module)
    assert len(codes) >= 10
    outside = {
        name: code for name, code in codes.items() if code not in allowed and code not in RESERVED
    }
    assert outside == {}


def test_no_two_causes_share_a_code():
    by_code: dict[int, list[str]] = {}
    for name, code in all_codes().items():
        if code not in RESERVED:
            by_code.setdefault(code, []).append(name)
    assert {code: names for code, names in by_code.items() if len(names) > 1} == {}


def test_the_readme_lists_every_code_with_its_class():
    listed = set(re.findall(r"^\| *(\d+) *\| *`?(\w+)`?", README.read_text("utf-8"), re.MULTILINE))
    expected = {
        (str(code), name.rpartition(".")[2])
        for name, code in all_codes().items()
        if code not in RESERVED
    }
    assert expected - listed == set()
