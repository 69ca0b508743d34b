"""Writes ``mapping.csv`` and reads an edited one back.

Spreadsheets take a cell that begins with ``= + - @`` for a formula. Such a value, and one that
begins with an apostrophe, gets an apostrophe in front; reading takes one away again.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stage_load.errors import MappingInvalid
from stage_load.layouts.folded import Folded
from stage_load.layouts.rule import WHOLE, Constant, Kept, RuleError, Skip, part_of
from stage_load.layouts.rule_text import AnyRule, parse_rule
from stage_load.mapping import FROM_MAP, Given, Row
from stage_load.names import NameIndex
from stage_load.plain_files import read_plain_file

COLUMNS = ("tf_name", "torch_name", "rule", "tf_shape", "torch_shape", "how", "confidence")
_REQUIRED = ("tf_name", "torch_name")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_DELIMITERS = (",", ";", "\t")
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MOST_FIELD_CHARACTERS = 10_000_000
_MOST_BYTES = 256 << 20
_SIZE = re.compile(r"[0-9]{1,18}")

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapLine:
    """One line of a mapping file; shapes are ``None`` where the file gives none."""

    number: int
    given: Given
    tf_shape: Shape | None
    torch_shape: Shape | None


def mapping_text(rows: Iterable[Row]) -> str:
    """Return the rows as CSV with a header line and CRLF line ends (RFC 4180)."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        names = (row.tf_name or "", row.torch_name or "", str(row.rule))
        shapes = (_shape_text(row.tf_shape), _shape_text(row.torch_shape))
        confidence = "" if row.confidence is None else f"{row.confidence:.2f}"
        writer.writerow([_escape(cell) for cell in (*names, *shapes, row.how, confidence)])
    return stream.getvalue()


def read_mapping(path: Path) -> tuple[MapLine, ...]:
    """Read a mapping file and check what can be checked without an export or a model.

    Cells are separated by commas, or by semicolons or tabs as the header shows; the text is UTF-8,
    or UTF-16 with a mark. Columns beside ``COLUMNS`` are ignored; all but the two names may be
    absent. An empty ``rule`` leaves the choice to the kind of operation.

    Raises:
        MappingInvalid: the file cannot be read, or lists every line that cannot be used.
    """
    lines: list[MapLine] = []
    problems: list[str] = []
    for number, cells in _cells(path):
        try:
            lines.append(_parse_line(number, cells))
        except RuleError as error:
            problems.append(f"line {number}: {error}")
    problems += _filled_twice(lines)
    if problems:
        raise _invalid(path, problems)
    return tuple(lines)


def _filled_twice(lines: Iterable[MapLine]) -> Iterator[str]:
    """Name lines that fill what an earlier one fills; parts of one tensor are checked later."""
    first: dict[str, MapLine] = {}
    for line in lines:
        name = line.given.torch_name
        before = line if name is None else first.setdefault(name, line)
        parts = (part_of(line.given.rule), part_of(before.given.rule))
        if before is not line and (WHOLE in parts or parts[0] == parts[1]):
            yield f"line {line.number}: {name!r} is filled by line {before.number} already"


def check_mapping(
    path: Path,
    lines: Sequence[MapLine],
    variables: Mapping[str, Shape],
    tensors: Mapping[str, Shape],
) -> tuple[Given, ...]:
    """Check the names and shapes of a mapping file against the export and the model.

    Args:
        path: for messages.
        lines: what ``read_mapping`` returned.
        variables: name -> shape of every variable of the export.
        tensors: name -> shape of every tensor of the model's state dict.

    Raises:
        MappingInvalid: lists every line that cannot be used, with the nearest names.
    """
    problems: list[str] = []
    checks = (("variable", variables), ("tensor of the model", tensors))
    indices = [NameIndex(known) for _, known in checks]
    for line in lines:
        named = (
            (line.given.tf_name, line.tf_shape),
            (line.given.torch_name, line.torch_shape),
        )
        for (name, shape), (what, known), index in zip(named, checks, indices, strict=True):
            if name is None:
                continue
            if name not in known:
                near = ", ".join(map(repr, index.nearest(name))) or "none"
                problems.append(f"line {line.number}: no {what} {name!r}; nearest: {near}")
            elif shape is not None and shape != known[name]:
                problems.append(
                    f"line {line.number}: {name!r} has the shape {list(known[name])}, "
                    f"the line says {list(shape)}"
                )
        problems += _unknown_operands(line, variables)
    if problems:
        raise _invalid(path, problems)
    return tuple(line.given for line in lines)


def _unknown_operands(line: MapLine, variables: Mapping[str, Shape]) -> list[str]:
    rule = line.given.rule
    names = rule.variables if isinstance(rule, Folded) else ()
    return [
        f"line {line.number}: no variable {name!r} for the rule {str(rule)!r}"
        for name in names
        if name not in variables
    ]


def _cells(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield line number and unescaped cells by column of every line that is not blank."""
    previous_limit = csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        text = _text(path)
        stream = io.StringIO(text, newline="")
        reader = csv.reader(stream, delimiter=_delimiter(text), strict=True)
        header = next(reader, [])
        absent = [column for column in _REQUIRED if column not in header]
        if absent:
            found = ", ".join(map(repr, header)) or "nothing"
            raise _invalid(path, [f"line 1: no column {name!r}, found {found}" for name in absent])
        for cells in reader:
            if len(cells) > len(header):
                raise _invalid(path, [f"line {reader.line_num}: more cells than columns"])
            if any(cells):
                values = map(_unescape, cells)
                yield reader.line_num, dict(zip(header, values, strict=False))
    except csv.Error as error:
        raise _invalid(path, [f"not CSV: {error}"]) from error
    finally:
        csv.field_size_limit(previous_limit)


def _delimiter(text: str) -> str:
    """Return what the header is separated by: spreadsheets of many countries write semicolons."""
    header = text.partition("\n")[0]
    return next((delimiter for delimiter in _DELIMITERS if delimiter in header), _DELIMITERS[0])


def _text(path: Path) -> str:
    try:
        # A spreadsheet may put a byte order mark in front. Line ends within a cell are its own.
        data = read_plain_file(path, _MOST_BYTES)
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except OSError as error:
        raise _invalid(path, [f"cannot be opened: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise _invalid(
            path, [f"is neither UTF-8 nor UTF-16: {error.reason} at byte {error.start}"]
        ) from error


def _parse_line(number: int, cells: Mapping[str, str]) -> MapLine:
    tf_name = cells.get("tf_name") or None
    torch_name = cells.get("torch_name") or None
    text = cells.get("rule", "").strip()
    rule = parse_rule(text) if text else None
    _check_sides(tf_name, torch_name, rule)
    return MapLine(
        number,
        Given(tf_name, torch_name, rule, FROM_MAP),
        _parse_shape(cells.get("tf_shape", "")) if tf_name is not None else None,
        _parse_shape(cells.get("torch_shape", "")) if torch_name is not None else None,
    )


def _check_sides(tf_name: str | None, torch_name: str | None, rule: AnyRule | None) -> None:
    """Check that the rule has what it needs: a variable, a torch tensor, or both."""
    if tf_name is None and torch_name is None:
        raise RuleError("names neither a variable nor a tensor")
    if torch_name is None and rule is not None and not isinstance(rule, Skip):
        raise RuleError(f"rule {str(rule)!r} needs a torch_name; 'skip' leaves a variable out")
    if torch_name is not None and isinstance(rule, Skip):
        raise RuleError("rule 'skip' leaves a variable out, so torch_name must be empty")
    if tf_name is None and not isinstance(rule, Constant | Kept):
        raise RuleError("without a tf_name the rule must be 'constant NUMBER' or 'kept'")
    if tf_name is not None and isinstance(rule, Constant | Kept):
        raise RuleError(f"rule {str(rule)!r} takes no variable, so tf_name must be empty")


def _parse_shape(text: str) -> Shape | None:
    """Read ``"3x3x1x8"``; ``"scalar"`` has no axes, an empty cell says nothing."""
    text = text.strip()
    if not text:
        return None
    if text == "scalar":
        return ()
    sizes = text.split("x")
    if not all(_SIZE.fullmatch(size) for size in sizes):
        raise RuleError(f"{text!r} is no shape such as '3x3x1x8'")
    return tuple(map(int, sizes))


def _shape_text(shape: Shape | None) -> str:
    if shape is None:
        return ""
    return "x".join(map(str, shape)) or "scalar"


def _escape(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell


def _unescape(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def _invalid(path: Path, problems: Sequence[str]) -> MappingInvalid:
    return MappingInvalid(
        "\n".join((f"{path.name} cannot be used:", *(f"  {problem}" for problem in problems))),
        f"Expected the columns {', '.join(COLUMNS)}, with names that exist, each tensor once.",
        "Start from the mapping.csv of a result folder and correct these lines.",
    )
