"""Checks tensors that several rows fill, and variables that several rows take apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from stage_load.layouts.adapted import Adapted
from stage_load.layouts.rule import WHOLE, Constant, Rule, RuleError, Skip, part_of
from stage_load.mapping import Row
from stage_load.parts import Box, box_text, gaps, meeting

Finding = tuple[str, str]
"""A tensor's name, and what is wrong with it."""


def partly_filled(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the torch tensors whose parts leave gaps or meet."""
    for name, group in _groups((row.torch_name, row) for row in rows).items():
        shape = group[0].torch_shape
        if shape is None or (len(group) == 1 and part_of(group[0].rule) == WHOLE):
            continue
        boxes = _boxes(group, shape)
        for box in gaps(shape, [box for box, _ in boxes]):
            yield name, f"{list(shape)}: nothing fills {box_text(box, shape)}"
        for (first, row), (second, other) in combinations(boxes, 2):
            common = meeting(first, second)
            if common is not None:
                by = f"{row.tf_name or row.rule} and by {other.tf_name or other.rule}"
                yield name, f"{list(shape)}: {box_text(common, shape)} is filled by {by}"


def partly_used(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the variables of which a part is neither used nor skipped."""
    for name, group in _groups((row.tf_name, row) for row in rows).items():
        shape = group[0].tf_shape
        if shape is None or not any(_takes_part(row) for row in group):
            continue
        try:
            boxes = [_source_box(row, shape) for row in group]
        except RuleError as error:
            yield name, f"{list(shape)}: {error}"
            continue
        for box in gaps(shape, boxes):
            yield name, f"{list(shape)}: nothing takes {box_text(box, shape)}"


def _groups(named: Iterable[tuple[str | None, Row]]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for name, row in named:
        if name is not None:
            found.setdefault(name, []).append(row)
    return found


def _takes_part(row: Row) -> bool:
    if isinstance(row.rule, Skip):
        return row.rule.part != WHOLE
    return isinstance(row.rule, Rule) and bool(row.rule.ranges)


def _boxes(rows: Sequence[Row], shape: Sequence[int]) -> list[tuple[Box, Row]]:
    """Return the parts that fit the tensor; the others are told as misshapen."""
    found = []
    for row in rows:
        try:
            found.append((part_of(row.rule).box(shape), row))
        except RuleError:
            continue
    return found


def _source_box(row: Row, shape: tuple[int, ...]) -> Box:
    if isinstance(row.rule, Skip):
        return row.rule.part.box(shape)
    if isinstance(row.rule, Rule):
        # Raises where the rule does not have the variable's axes.
        row.rule.recipe(shape)
        return row.rule.source_box(shape)
    return WHOLE.box(shape)


def part_misfit(row: Row) -> str | None:
    """Return why a row's part of a torch tensor cannot be filled with what the rule gives."""
    shape = row.torch_shape
    if shape is None or not isinstance(row.rule, Rule | Adapted | Constant):
        return None
    try:
        box = part_of(row.rule).box(shape)
        part = tuple(end - begin for begin, end in box)
        if isinstance(row.rule, Constant):
            count = 1 if isinstance(row.rule.value, float) else len(row.rule.value)
            fits = count == 1 or part == (count,)
            return None if fits else f"{list(part)} from {count} constants"
        if row.tf_shape is None:
            return None
        made = row.rule.target_shape(row.tf_shape)
    except RuleError as error:
        return f"{list(shape)} from {row.tf_name} {list(row.tf_shape or ())}: {error}"
    if made == part:
        return None
    source = f"{row.tf_name} {list(row.tf_shape)}"
    return f"{list(part)} from {source}, which {row.rule} makes {list(made)}"
