"""Names in a bag: kept wherever they can be listed, different where files are."""

from __future__ import annotations

import itertools

import pytest

from orchestration.archive.portable_names import PortableNames

WHEEL = "packages/zstandard-0.25.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
# "%" becomes what the others are called.
ALIKE = ("a%", "a_x25_", "a_x5F_x25_", "a_x5F_x5F_x25_")


def test_a_package_is_called_as_pip_looks_for_it() -> None:
    portable = PortableNames()
    assert portable.add(WHEEL) == WHEEL
    assert portable.renamed == {}


@pytest.mark.parametrize("order", itertools.permutations(ALIKE), ids="|".join)
def test_names_like_escaped_ones_stay_apart(order: tuple[str, ...]) -> None:
    portable = PortableNames()
    given = {portable.add(path): path for path in order}
    assert len(given) == len(ALIKE)
    assert given == {path: portable.renamed.get(path, path) for path in given}


def test_one_letter_written_in_two_ways_stays_two_files() -> None:
    portable = PortableNames()
    given = {portable.add(path): path for path in ("\u00fc", "u\u0308", "u_xCC__x88_")}
    assert len(given) == 3
    assert given == {path: portable.renamed.get(path, path) for path in given}


def test_a_file_cannot_be_there_twice() -> None:
    portable = PortableNames()
    portable.add("a")
    with pytest.raises(ValueError, match="'a' is there twice"):
        portable.add("a")
