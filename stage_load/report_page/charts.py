"""The report's charts, drawn by Matplotlib as SVG that follows the page's colours.

This is the one module that imports Matplotlib, which takes longer than a small conversion: import
it only where there is something to draw.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from stage_load.visible import visible

# Charts use the font that Matplotlib brings along: looking for others takes seconds where there
# are thousands.
os.environ.setdefault("MPL_IGNORE_SYSTEM_FONTS", "1")

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

MOST_POINTS = 400
"""Layers shown; of more, the worst of each of as many groups of neighbours."""

LOWEST = 1e-12
"""Differences below, nought among them, are drawn here."""

_SIZE_INCHES = (5.0, 3.3)
_MARGINS = {"left": 0.17, "right": 0.97, "bottom": 0.15, "top": 0.95}
_CELLS = 160
_HEADROOM = 4.0

# Matplotlib knows no CSS variables: these stand for them while it draws.
_INK, _SOFT, _LINE, _GOOD, _BAD = "#010101", "#020202", "#030303", "#040404", "#050505"
_CSS_COLOURS: Mapping[str, str] = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    _GOOD: "var(--good)",
    _BAD: "var(--bad)",
}
_SETTINGS: Mapping[RcKeyType, Any] = {
    "axes.edgecolor": _LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": _SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.color": _LINE,
    "ytick.labelcolor": _SOFT,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_IDENTIFIER = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_NAMESPACES = re.compile(r' xmlns(:xlink)?="[^"]*"')


def layers_chart(parity: Mapping[str, Any], label: str) -> Markup:
    """Draw each layer's difference, relative to its scale, on a logarithmic axis.

    Args:
        parity: as in ``report.json``.
        label: what the chart shows, for those who do not see it.
    """
    layers = _thinned(parity["layers"])
    places = np.array([layer["layer"] for layer in layers])
    errors = np.array([error_of(layer) for layer in layers])
    agrees = np.array([layer["verdict"] == "agrees" for layer in layers])
    allowed = max(parity["tolerance"], LOWEST)
    bottom, top = _range(errors, allowed)
    heights = np.clip(errors, bottom, top)

    def draw(axes: Axes) -> None:
        axes.set_yscale("log")
        axes.set_ylim(bottom, top)
        axes.grid(axis="y")
        axes.plot(places, heights, color=_LINE, linewidth=1)
        axes.plot(places[agrees], heights[agrees], "o", color=_GOOD, markersize=4)
        axes.plot(places[~agrees], heights[~agrees], "X", color=_BAD, markersize=6)
        _mark_allowed(axes, allowed)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("layer, in the order in which TensorFlow runs them")
        axes.set_ylabel("difference / scale")
        _mark_first(axes, parity["first_differing_layer"])

    return _svg("layers", label, draw)


def scatter_chart(
    number: int, expected: NDArray[np.float64], actual: NDArray[np.float64], label: str
) -> Markup:
    """Draw torch's numbers over TensorFlow's: equal ones lie on the diagonal.

    Args:
        number: of the output, which makes the names inside the picture its own.
        expected: TensorFlow's, finite [elements].
        actual: torch's, finite [elements].
        label: what the chart shows, for those who do not see it.
    """
    lowest = float(min(expected.min(), actual.min()))
    highest = float(max(expected.max(), actual.max()))
    margin = 0.04 * (highest - lowest) or abs(highest) or 1.0
    limits = (lowest - margin, highest + margin)
    # Many points lie on each other; one of each cell is as much as can be seen.
    cells = np.stack((expected, actual)) - limits[0]
    cells = np.floor(cells / (limits[1] - limits[0]) * _CELLS)
    _, shown = np.unique(cells, axis=1, return_index=True)

    def draw(axes: Axes) -> None:
        axes.set_xlim(*limits)
        axes.set_ylim(*limits)
        axes.grid()
        axes.plot(limits, limits, color=_SOFT, linewidth=1)
        axes.plot(expected[shown], actual[shown], "o", color=_GOOD, markersize=3)
        axes.locator_params(nbins=6)
        axes.set_xlabel("TensorFlow")
        axes.set_ylabel("torch")

    return _svg(f"output{number}", label, draw)


def error_of(entry: Mapping[str, Any]) -> float:
    """Return an entry's difference relative to the scale; infinite where it is no number."""
    value = entry["max_rel_to_scale"]
    if isinstance(value, float | int) and math.isfinite(value):
        return float(value)
    return 0.0 if entry["verdict"] == "agrees" else math.inf


def _thinned(layers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep the worst of each group of neighbours; the first that differs stays in its place."""
    size = -(-len(layers) // MOST_POINTS)
    groups = (layers[begin : begin + size] for begin in range(0, len(layers), max(size, 1)))
    return [_worst(group) for group in groups]


def _worst(group: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    differing = next((layer for layer in group if layer["verdict"] != "agrees"), None)
    return differing or max(group, key=error_of)


def _range(errors: NDArray[np.float64], allowed: float) -> tuple[float, float]:
    """Return the ends of the axis: round all finite errors, room above for what is no number."""
    finite = errors[np.isfinite(errors)]
    top = max(finite.max(initial=allowed), 1.0 if len(finite) < len(errors) else 0.0)
    bottom = np.clip(finite, LOWEST, None).min(initial=allowed)
    return max(bottom / _HEADROOM, LOWEST), top * _HEADROOM


def _mark_allowed(axes: Axes, allowed: float) -> None:
    axes.axhline(allowed, color=_BAD, linewidth=1, linestyle="--")
    axes.annotate(
        "allowed",
        (1, allowed),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=_BAD,
        horizontalalignment="right",
    )


def _mark_first(axes: Axes, first: Mapping[str, Any] | None) -> None:
    if first is None:
        return
    place = first["layer"]
    axes.axvline(place, color=_BAD, linewidth=1)
    left, right = axes.get_xlim()
    is_right = place > (left + right) / 2
    axes.annotate(
        f"first that differs: {place}",
        (place, 0.02),
        (-4 if is_right else 4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=_BAD,
        fontweight="bold",
        horizontalalignment="right" if is_right else "left",
    )


def _svg(name: str, label: str, draw: Callable[[Axes], None]) -> Markup:
    """Draw a chart as an SVG element of the same bytes for the same content."""
    written = io.StringIO()
    with matplotlib.rc_context():
        # A person's own settings would change the bytes.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": name})
        figure = Figure(figsize=_SIZE_INCHES)
        FigureCanvasSVG(figure)
        draw(figure.add_axes(_axes_box()))
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    # Inside HTML an SVG element needs none, and no address stands in the page.
    text = _NAMESPACES.sub("", text)
    text = _IDENTIFIER.sub(rf"\g<1>{name}-", text)
    for colour, variable in _CSS_COLOURS.items():
        text = text.replace(colour, variable)
    opening = f'<svg role="img" aria-label="{escape(visible(label))}"'
    return Markup(text.replace("<svg", opening, 1))


def _axes_box() -> tuple[float, float, float, float]:
    left, bottom = _MARGINS["left"], _MARGINS["bottom"]
    return left, bottom, _MARGINS["right"] - left, _MARGINS["top"] - bottom
