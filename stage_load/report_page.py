"""Writes ``report.html``: the report for people, one file, escaped text only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from stage_load.mapping import Row
from stage_load.report_style import STYLE

MOST_ROWS = 2_000
"""Longer tables are cut; ``report.json`` and ``mapping.csv`` hold everything."""

_FIRST_EXPONENT = -9
"""Left end of the bars: differences of one part in 10**9 and less have no bar."""

_SENTENCES: Mapping[str, str] = {
    "proven": "The torch model computes what TensorFlow computed.",
    "failed": "The torch model does not compute what TensorFlow computed. Do not use it as it is.",
    "unproven": "It was not shown that the model computes the same as TensorFlow.",
}


def report_page(document: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Return the page.

    Args:
        document: ``report.json``.
        rows: the mapping.
    """
    sections = (
        _head(document),
        _cards(document),
        _layers(document["parity"]),
        _outputs(document["parity"]),
        _list("Not compared", ("layer", "name", "reason"), document["parity"]["left_out"]),
        _list("Left out of the model", ("name", "reason"), document["skipped"]),
        _list(
            "Weights with NaN or infinite elements",
            ("tf_name", "torch_name", "count"),
            document["non_finite_weights"],
        ),
        _mapping(rows),
    )
    title = escape(f"{document['model']['name']}: {document['verdict']}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def _head(document: Mapping[str, Any]) -> str:
    verdict = str(document["verdict"])
    device = document["device"]
    note = f" ({device['note']})" if device["note"] else ""
    warnings = "".join(f"<li>{_text(warning)}</li>" for warning in document["warnings"])
    first = document["parity"]["first_differing_layer"]
    differing = ""
    if first is not None:
        differing = (
            f"<p>The first layer that differs is <code>{_text(first['name'])}</code> "
            f"(module <code>{_text(first['module'])}</code>).</p>"
        )
    return (
        f'<h1>{_text(document["model"]["name"])} <span class="verdict {_text(verdict)}">'
        f"{_text(verdict)}</span></h1>\n"
        f"<p>{_text(_SENTENCES.get(verdict, ''))}</p>\n"
        f'<p class="soft">{_text(document["reason"])}</p>\n{differing}'
        f'<p class="soft">Device: {_text(device["name"])}{_text(note)}</p>\n'
        + (f"<h2>Warnings</h2>\n<ul>{warnings}</ul>" if warnings else "")
    )


def _cards(document: Mapping[str, Any]) -> str:
    coverage, parity = document["coverage"], document["parity"]
    cards = (
        (f"{coverage['variables_loaded']} of {coverage['variables']}", "variables loaded"),
        (f"{coverage['torch_tensors']}", "tensors of the model filled"),
        (f"{coverage['parameters']:,}", "parameters"),
        (f"{parity['compared_layers']} of {coverage['layers']}", "layers compared"),
        (_number(parity["max_rel"]), f"largest difference, allowed {parity['tolerance']:g}"),
        (_cosine(parity["cosine"]), "smallest cosine"),
    )
    body = "".join(
        f'<div class="card"><b>{_text(value)}</b><span class="soft">{_text(label)}</span></div>'
        for value, label in cards
    )
    return f'<div class="cards">{body}</div>'


def _layers(parity: Mapping[str, Any]) -> str:
    first = parity["first_differing_layer"]
    first_index = None if first is None else first["layer"]
    rows = (
        f'<tr{_first(layer["layer"] == first_index)}><td class="number">{layer["layer"]}</td>'
        f"<td><code>{_text(layer['name'])}</code></td><td><code>{_text(layer['module'])}</code></td>"
        f"{_comparison_cells(layer, parity['tolerance'])}</tr>"
        for layer in parity["layers"]
    )
    headings = ("#", "TensorFlow", "torch", *_COMPARISON_HEADINGS)
    return _table("Layers, in the order in which they run", headings, rows, len(parity["layers"]))


def _outputs(parity: Mapping[str, Any]) -> str:
    rows = (
        f"<tr><td><code>{_text(output['tensor'])}</code></td>"
        f"{_comparison_cells(output, parity['tolerance'])}</tr>"
        for output in parity["outputs"]
    )
    return _table("Outputs", ("tensor", *_COMPARISON_HEADINGS), rows, len(parity["outputs"]))


_COMPARISON_HEADINGS = (
    "verdict",
    "of the scale",
    "",
    "absolute",
    "cosine",
    "worst at",
    "TensorFlow",
    "torch",
    "note",
)


def _comparison_cells(entry: Mapping[str, Any], tolerance: float) -> str:
    verdict = _text(entry["verdict"])
    index = entry["worst_index"]
    return (
        f'<td class="{verdict}">{verdict}</td>'
        f'<td class="number">{_number(entry["max_rel_to_scale"])}</td>'
        f'<td class="{verdict}">{_bar(entry["max_rel_to_scale"], tolerance)}</td>'
        f'<td class="number">{_number(entry["max_abs"])}</td>'
        f'<td class="number">{_cosine(entry["cosine"])}</td>'
        f"<td>{'' if index is None else _text(index)}</td>"
        f'<td class="number">{_number(entry["expected"], 7)}</td>'
        f'<td class="number">{_number(entry["actual"], 7)}</td>'
        f'<td class="text">{_text(entry["reason"])}</td>'
    )


def _mapping(rows: Sequence[Row]) -> str:
    cells = (
        f"<tr><td><code>{_text(row.tf_name)}</code></td><td><code>{_text(row.torch_name)}</code></td>"
        f"<td><code>{_text(row.rule)}</code></td><td>{_shape(row.tf_shape)}</td>"
        f"<td>{_shape(row.torch_shape)}</td><td>{_text(row.how)}</td></tr>"
        for row in rows[:MOST_ROWS]
    )
    headings = ("TensorFlow", "torch", "rule", "TensorFlow shape", "torch shape", "found by")
    return _table("Mapping", headings, cells, len(rows))


def _list(title: str, names: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> str:
    rows = (
        "<tr>" + "".join(f'<td class="text">{_text(entry[name])}</td>' for name in names) + "</tr>"
        for entry in entries[:MOST_ROWS]
    )
    return _table(title, names, rows, len(entries))


def _table(title: str, headings: Sequence[str], rows: Iterable[str], count: int) -> str:
    if not count:
        return ""
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    shown = [row for row, _ in zip(rows, range(MOST_ROWS), strict=False)]
    cut = "" if count <= MOST_ROWS else f' <span class="soft">(the first {MOST_ROWS})</span>'
    return (
        f'<h2>{_text(title)} <span class="soft">{count}</span>{cut}</h2>\n<div class="scroll">'
        f"<table>\n<tr>{head}</tr>\n" + "\n".join(shown) + "\n</table></div>"
    )


def _bar(value: Any, tolerance: float) -> str:
    """Draw how much of the way to the tolerance a difference is, on a logarithmic scale."""
    if not isinstance(value, float | int) or value <= 0 or tolerance <= 0:
        return ""
    span = math.log10(tolerance) - _FIRST_EXPONENT
    share = (math.log10(value) - _FIRST_EXPONENT) / span if span > 0 else 1.0
    return f'<span class="bar"><i style="width:{100 * min(1.0, max(0.0, share)):.0f}%"></i></span>'


def _first(is_first: bool) -> str:
    return ' class="first"' if is_first else ""


def _shape(shape: Sequence[int] | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape)) or "scalar"


def _number(value: Any, digits: int = 3) -> str:
    if value is None:
        return "—"
    return _text(value) if isinstance(value, str) else f"{value:.{digits}g}"


def _cosine(value: Any) -> str:
    if not isinstance(value, float):
        return _number(value)
    return f"{value:.9f}"


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))
