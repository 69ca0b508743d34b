"""HTML from values: whatever is no markup of this program's own is escaped, whoever forgets it."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from urllib.parse import quote

from orchestration.printing import printable


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | None | Iterable["Content"]
_VOID = frozenset({"meta"})


def element(name: str, /, *content: Content, **attributes: object) -> Html:
    """An element.

    Args:
        name: its tag.
        content: texts, elements, or several of both; None stands for nothing.
        attributes: `class_` and `aria_label` are "class" and "aria-label"; None leaves it out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(content)}</{name}>")


def joined(content: Content) -> Html:
    """Content one after the other."""
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(_escaped(content))
    return Html("".join(map(joined, content)))


def link(path: str, text: str) -> Html:
    """A link to a file below the page's own folder, whatever its name."""
    # "./" first: else a name with a colon would be an address, and two slashes a host.
    return element("a", text, href=f"./{quote(os.fsencode(path))}")


def table(
    caption: str, headings: Iterable[str], rows: Iterable[Iterable[Html]], id_: str | None = None
) -> Html:
    """A table that scrolls by itself where it is wider than the window.

    Args:
        caption: what it shows.
        headings: of its columns.
        rows: cells, see `cell`.
        id_: that links lead to, or None.
    """
    head = element("tr", [element("th", text, scope="col") for text in headings])
    body = [Html(f"{element('tr', *row)}\n") for row in rows]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", Html("\n"), body),
    )
    return element(
        "div", whole, class_="wide", role="region", tabindex=0, aria_label=caption, id_=id_
    )


def cell(content: Content, class_: str | None = None) -> Html:
    """A cell of a table."""
    return element("td", content, class_=class_)


def _escaped(text: str) -> str:
    return html.escape(printable(text))
