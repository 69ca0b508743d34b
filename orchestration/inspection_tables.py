"""What a checkpoint holds, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.printing import printable, size_text

# Wide enough for every name: a pipe has no edge at which a table would have to be cut.
_PIPE_WIDTH = 10_000


def print_inspection(inspection: Mapping[str, Any], stream: TextIO) -> None:
    """Print the tables, as wide as the terminal or as the names need.

    Args:
        inspection: the `inspection` object of stage 1.
        stream: where to.
    """
    console = Console(
        file=stream,
        width=None if stream.isatty() else _PIPE_WIDTH,
        highlight=False,
        markup=False,
    )
    inspection = _printable(inspection)
    console.print(_headline(inspection))
    console.print()
    console.print(_variables_table(inspection["variables"]))
    if inspection.get("missing"):
        console.print()
        console.print(_missing_table(inspection["missing"]))
    if inspection["skipped"]:
        console.print()
        console.print(_skipped_table(inspection["skipped"]))
    console.print()
    for kind in ("inputs", "outputs"):
        console.print(_endpoints_table(kind, inspection["candidates"][kind]))
        console.print()
    for line in _closing_lines(inspection):
        console.print(line, soft_wrap=True)


def shape_text(shape: Sequence[int | None] | None, axes: str | None = None) -> str:
    """A shape such as "3 x 3 x 16 x 32 (HWIO)"; unknown sizes are question marks."""
    if shape is None:
        return "unknown"
    if not shape:
        return "scalar"
    sizes = " x ".join("?" if size is None else str(size) for size in shape)
    return f"{sizes} ({axes})" if axes else sizes


def _printable(value: Any) -> Any:
    """The same value with texts that a terminal can be sent."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: _printable(part) for key, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _headline(inspection: Mapping[str, Any]) -> Text:
    checkpoint, source = inspection["checkpoint"], inspection["source"]
    totals, left_out = inspection["totals"]["variables"], inspection["totals"]["skipped"]
    step = "" if checkpoint["step"] is None else f", step {checkpoint['step']}"
    graph = "with its graph" if source["graph"] else f"no graph: {source['graph_reason']}"
    how = ", read without TensorFlow" if inspection.get("reader") == "pure" else ""
    return Text.assemble(
        (checkpoint["prefix"], "bold"),
        f"{step} ({source['checkpoint_format']}, {graph}{how})\n",
        f"{totals['tensors']:,} variables, {totals['elements']:,} numbers,"
        f" {size_text(totals['size_bytes'])};"
        f" {left_out['tensors']:,} tensors left out, {size_text(left_out['size_bytes'])}",
    )


def _variables_table(variables: Sequence[Mapping[str, Any]]) -> Table:
    """Every variable, in the order in which the forward pass meets it, the unused ones last."""
    table = _table("Variables", "name", "type", "shape", "size", "read by", "role")
    for variable in sorted(variables, key=_forward_order):
        operation = variable["op_kind"] or "-"
        table.add_row(
            variable["name"],
            variable["dtype"],
            shape_text(variable["shape"], variable["source_axes"]),
            size_text(variable["size_bytes"]),
            f"{operation} (guessed)" if variable["evidence"] == "guessed" else operation,
            variable["role"] or variable["reason"] or "-",
        )
    return table


def _missing_table(missing: Sequence[Mapping[str, Any]]) -> Table:
    """What the graph reads and the checkpoint does not hold."""
    table = _table("Not in the checkpoint", "variable", "type", "shape", "because")
    for entry in missing:
        table.add_row(
            entry["variable"], entry["dtype"], shape_text(entry["shape"]), entry["reason"]
        )
    return table


def _skipped_table(skipped: Sequence[Mapping[str, Any]]) -> Table:
    """What an export leaves out, one row a category and reason it has in common."""
    table = _table("Left out", "category", "tensors", "size", "for example", "because")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in skipped:
        groups.setdefault(entry["category"], []).append(entry)
    for category, entries in sorted(groups.items()):
        size_bytes = sum(entry["size_bytes"] or 0 for entry in entries)
        first = entries[0]
        row = (category, f"{len(entries):,}", size_text(size_bytes), first["name"], first["reason"])
        table.add_row(*row)
    return table


def _endpoints_table(kind: str, candidates: Sequence[Mapping[str, Any]]) -> Table:
    """Inputs or outputs: those chosen first, each with the reason."""
    table = _table(kind.capitalize(), "", "tensor", "type", "shape", "because")
    for candidate in sorted(candidates, key=lambda entry: not entry["chosen"]):
        table.add_row(
            "*" if candidate["chosen"] else "",
            candidate["tensor"],
            candidate["dtype"],
            shape_text(candidate["shape"]),
            candidate["reason"],
            style=None if candidate["chosen"] else "dim",
        )
    return table


def _closing_lines(inspection: Mapping[str, Any]) -> Iterator[str]:
    for choice in inspection.get("choices", ()):
        if choice["available"]:
            others = [name or "''" for name in choice["available"] if name != choice["chosen"]]
            more = f"; others: {', '.join(others)}" if others else ""
            yield f"{choice['option']} {choice['chosen']}{more}"
    if operations := inspection["operations"]:
        counts = ", ".join(f"{entry['count']} {entry['op']}" for entry in operations)
        yield f"Operations: {counts}"
    for switch in inspection["switches"]:
        yield f"Switch: {switch['tensor']} = {switch['value']} ({switch['why']})"
    for warning in inspection["warnings"]:
        yield f"Warning: {warning}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        is_number = column in ("size", "tensors")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return table


def _forward_order(variable: Mapping[str, Any]) -> tuple[bool, int, str]:
    order = variable["order"]
    return order is None, order or 0, variable["name"]
