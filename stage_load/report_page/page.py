"""Puts ``report.html`` together. Every text is escaped; the page may load and send nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from stage_load.mapping import Row
from stage_load.report_page.coverage import coverage_bars
from stage_load.samples import Sample
from stage_load.verdict import OutputParity
from stage_load.visible import visible

MOST_ROWS = 2_000
"""Longer tables are cut; ``report.json`` and ``mapping.csv`` hold everything."""

MOST_DRAWN = 4
"""Outputs that get a chart and pictures; the table holds all of them."""

_FOLDER = Path(__file__).parent
_SENTENCES: Mapping[str, str] = {
    "proven": "The torch model computes what TensorFlow computed.",
    "failed": "The torch model does not compute what TensorFlow computed. Do not use it as it is.",
    "unproven": "It was not shown that the model computes the same as TensorFlow.",
}


@dataclass(frozen=True)
class Drawing:
    """What is drawn of one output: a chart of its numbers, and pictures where it is an image."""

    tensor: str
    scatter: Markup | None
    caption: str
    pictures: Any


def prepare_drawing() -> None:
    """Import what draws, which takes a while: for a worker that waits for its export anyhow."""
    from stage_load.report_page import charts, pictures  # noqa: F401


def report_page(
    document: Mapping[str, Any], rows: Sequence[Row], outputs: Sequence[OutputParity]
) -> str:
    """Return the page.

    Args:
        document: ``report.json``.
        rows: the mapping.
        outputs: of the proof, with their samples.
    """
    script = (_FOLDER / "filter.js").read_text(encoding="utf-8").strip()
    return _template().render(
        report=document,
        sentence=_SENTENCES[document["verdict"]],
        bars=coverage_bars(document["coverage"], rows),
        rows=rows,
        most_rows=MOST_ROWS,
        layers_chart=_layers_chart(document["parity"]),
        drawings=[_drawing(i, output) for i, output in enumerate(_sampled(outputs))],
        not_drawn=max(0, len(outputs) - MOST_DRAWN),
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8").strip()),
        script=Markup(script),
        script_hash=_hash(script),
    )


@cache
def _template() -> Template:
    """Compile the template, once in a process: that takes longer than to fill it."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, cosine=_cosine, shape=_shape, as_json=_as_json, text=_text
    )
    return environment.get_template("template.html")


def _layers_chart(parity: Mapping[str, Any]) -> Markup | None:
    if not parity["layers"]:
        return None
    from stage_load.report_page.charts import layers_chart

    worst, first = parity["worst"], parity["first_differing_layer"]
    label = (
        f"Chart of the differences of {len(parity['layers'])} layers. "
        f"Largest: {_number(parity['max_rel'])} of the scale, in {worst}; "
        f"allowed: {_number(parity['tolerance'])}. "
    )
    label += "All agree." if first is None else f"The first that differs: {first['name']}."
    return layers_chart(parity, label)


def _sampled(outputs: Sequence[OutputParity]) -> list[OutputParity]:
    return [output for output in outputs if output.comparison.sample is not None][:MOST_DRAWN]


def _drawing(number: int, output: OutputParity) -> Drawing:
    # Only here: a run without a proof pays neither time nor memory for drawing.
    from stage_load.report_page.charts import scatter_chart
    from stage_load.report_page.pictures import panels

    comparison, sample = output.comparison, output.comparison.sample
    assert sample is not None
    pictures = None if sample.picture is None else panels(sample.picture)
    finite = np.isfinite(sample.expected) & np.isfinite(sample.actual)
    if not finite.any():
        return Drawing(output.tensor, None, "No finite numbers to draw.", pictures)
    expected, actual = sample.expected[finite], sample.actual[finite]
    caption = _caption(sample, expected, actual)
    if comparison.max_abs is not None and comparison.index is not None:
        caption += (
            f" Largest difference: {comparison.max_abs:.3g}, at {list(comparison.index)}, where "
            f"TensorFlow has {comparison.expected:.7g} and torch {comparison.actual:.7g}."
        )
    scatter = scatter_chart(number, expected, actual, f"Chart of {output.tensor}. {caption}")
    return Drawing(output.tensor, scatter, caption, pictures)


def _caption(sample: Sample, expected: Any, actual: Any) -> str:
    count = len(expected)
    which = "all" if count == sample.size else f"{count:,} of"
    return (
        f"torch over TensorFlow, {which} {sample.size:,} numbers: TensorFlow from "
        f"{expected.min():.4g} to {expected.max():.4g}, torch from {actual.min():.4g} to "
        f"{actual.max():.4g}. Equal numbers lie on the diagonal."
    )


def _hash(script: str) -> str:
    """Return a script's hash as a Content-Security-Policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _number(value: Any, digits: int = 3) -> str:
    if value is None:
        return "—"
    return value if isinstance(value, str) else f"{value:.{digits}g}"


def _cosine(value: Any, digits: int = 9) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) else _number(value)


def _shape(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return ""
    return " x ".join("?" if size is None else str(size) for size in shape) or "scalar"


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _shown(value: Any) -> Any:
    """Return what the page shows of a value; markup is this program's own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(value: Any) -> str:
    return "" if value is None else str(value)
