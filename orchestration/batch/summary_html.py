"""`summary.html`: what became of a batch, on one page that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from orchestration.batch.markup import Content, Html, cell, element, joined, link, table
from orchestration.batch.overview import ItemState, Overview, failures_by_class
from orchestration.batch.pace import pace_of
from orchestration.batch.parity_plot import Compared, parity_plot
from orchestration.batch.summary_csv import Cell, figure
from orchestration.errors import EXIT_ITEMS_LEFT, EXIT_OK, EXIT_SOME_FAILED
from orchestration.printing import duration_text, size_text

MOST_ROWS = 2_000
MOST_SLOW = 10
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = Path(__file__).with_name("summary.css")
_TONES = {EXIT_OK: "good", EXIT_SOME_FAILED: "bad", EXIT_ITEMS_LEFT: "open"}
_NOTHING = "—"
_RETRY = (
    "What has failed is left alone by further runs. Mend it, and give the same command once more"
    " with --retry-failed."
)
_TIMES = (
    "Time from begin to end, in which an item may have waited for the one before it; time that each"
    " stage worked, and the most memory that it had by then"
)


def html_page(overview: Overview) -> str:
    """The page."""
    title = f"{len(overview.items):,} checkpoints"
    sections = list(_sections(overview))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: {_sentence(overview)}"),
        element("style", Html(_STYLE.read_text(encoding="utf-8"))),
    )
    contents = [element("a", name, href=f"#{id_}") for id_, name, _ in sections]
    header = element(
        "header",
        element("h1", title),
        element("p", _sentence(overview), class_=f"summary {_TONES[overview.exit_code]}"),
        element("ul", [_card(*card) for card in _cards(overview)], class_="cards"),
        element("nav", contents, aria_label="Sections"),
    )
    main = element("main", [_section(*section) for section in sections])
    page = element("html", head, Html("\n"), element("body", header, Html("\n"), main), lang="en")
    return f"<!doctype html>\n{page}\n"


def _sentence(overview: Overview) -> str:
    counts = overview.counts()
    done = f"{counts['done'] + counts['skipped']:,} of {len(overview.items):,} are done"
    rest = [f"{counts['failed']:,} failed" if counts["failed"] else "none failed"]
    if overview.left:
        rest.append(f"{overview.left:,} left")
    return f"{done}, {', '.join(rest)}."


def _cards(overview: Overview) -> Iterator[tuple[str, str]]:
    for standing, count in overview.counts().items():
        if count:
            yield f"{count:,}", standing
    for verdict, count in overview.verdicts().items():
        yield f"{count:,}", verdict
    sizes_bytes = (item.size_bytes or 0 for item in overview.of("done", "skipped", "failed"))
    yield size_text(sum(sizes_bytes)), "of checkpoints"
    pace = pace_of(overview)
    if pace is not None:
        yield f"{pace.items_per_minute:.3g}", "items a minute"


def _card(number: str, text: str) -> Html:
    return element("li", element("b", number), element("span", text, class_="soft"))


def _section(id_: str, title: str, content: Content) -> Html:
    heading = element("h2", title, id_=id_)
    return joined([element("section", heading, content, aria_labelledby=id_), Html("\n")])


def _sections(overview: Overview) -> Iterator[tuple[str, str, Content]]:
    """Id, title and content of each part that has something to show."""
    if parity := _parity(overview):
        yield "parity", "Parity", parity
    causes = failures_by_class(overview)
    if causes:
        parts = [_cause(name, items) for name, items in causes.items()]
        yield "failed", "Failed, by cause", [element("p", _RETRY, class_="soft"), *parts]
    noted = [item for item in overview.items if item.note is not None]
    if noted:
        yield "left", "To be done again", _noted(noted)
    slow = sorted(overview.of("done", "failed"), key=lambda i: -(i.seconds or 0.0))[:MOST_SLOW]
    if slow:
        yield "slowest", "Slowest", _slowest(slow)
    if overview.items:
        yield "items", "All items", _all(overview.items)


def _parity(overview: Overview) -> Html | None:
    """The picture of all differences; None where nothing was compared."""
    compared, tolerances = [], set()
    for item in overview.of("done", "skipped", "failed"):
        verdict, max_rel = figure(item, "verdict"), figure(item, "max_rel")
        if verdict in ("proven", "failed"):
            number = None if max_rel is None or isinstance(max_rel, str) else float(max_rel)
            compared.append(Compared(number, verdict == "proven"))
            tolerances.add(figure(item, "tolerance"))
    if not compared:
        return None
    tolerance = tolerances.pop() if len(tolerances) == 1 else None
    allowed = tolerance if isinstance(tolerance, float) and tolerance > 0 else None
    caption = (
        f"The largest difference from TensorFlow of each of {len(compared):,} results, relative to"
        " the scale of the tensor that it is in: how many there are of each size."
    )
    return element("figure", parity_plot(compared, allowed), element("figcaption", caption))


def _cause(class_name: str, items: Sequence[ItemState]) -> Html:
    failure = items[0].failure
    code = "" if failure is None else f", exit code {failure.exit_code}"
    caption = f"{class_name}{code}: {_cut(items)}"
    rows = (_failed_row(item) for item in islice(items, MOST_ROWS))
    headings = ("item", "what happened", "what to do", "log")
    return joined([element("h3", f"{class_name} ({len(items):,})"), table(caption, headings, rows)])


def _failed_row(item: ItemState) -> Iterator[Html]:
    failure, log = item.failure, item.record and item.record.log
    yield _name(item)
    yield cell(None if failure is None else failure.happened, "text")
    yield cell(None if failure is None else failure.remedy, "text")
    yield cell(link(log, "log") if isinstance(log, str) else None)


def _noted(items: Sequence[ItemState]) -> Html:
    rows = ((_name(item), cell(item.note, "text")) for item in islice(items, MOST_ROWS))
    return table(_cut(items), ("item", "why"), rows)


def _slowest(items: Sequence[ItemState]) -> Html:
    headings = ("item", "time", "stage 1", "stage 2", "checkpoint", "memory 1", "memory 2")
    rows = (
        (
            _name(item),
            _duration(item.seconds),
            _duration(figure(item, "stage_s", "extract")),
            _duration(figure(item, "stage_s", "load")),
            _size(item.size_bytes),
            _size(figure(item, "peak_memory_bytes", "extract")),
            _size(figure(item, "peak_memory_bytes", "load")),
        )
        for item in items
    )
    return table(_TIMES, headings, rows)


def _all(items: Sequence[ItemState]) -> Html:
    headings = ("item", "state", "verdict", "difference", "in", "time", "size", "checkpoint")
    rows = (_item_row(item) for item in islice(items, MOST_ROWS))
    return table(f"In the order of the list: {_cut(items)}", headings, rows)


def _item_row(item: ItemState) -> Iterator[Html]:
    verdict = figure(item, "verdict")
    yield _name(item)
    yield cell(item.standing, item.standing)
    yield cell(_text(verdict), str(verdict) if verdict in ("proven", "failed", "unproven") else "")
    yield cell(_number(figure(item, "max_rel")), "number")
    yield cell(_text(figure(item, "worst")), "text")
    yield _duration(item.seconds)
    yield _size(item.size_bytes)
    yield cell(item.listed.checkpoint, "text")


def _cut(items: Sequence[ItemState]) -> str:
    count = f"{len(items):,} item{'' if len(items) == 1 else 's'}"
    if len(items) <= MOST_ROWS:
        return count
    return f"the first {MOST_ROWS:,} of {count}; summary.csv holds all"


def _name(item: ItemState) -> Html:
    """A name that leads to the item's report, if there is one."""
    return cell(item.name if item.report is None else link(item.report, item.name), "name")


def _duration(value: Cell) -> Html:
    text = duration_text(value) if isinstance(value, int | float) else _NOTHING
    return cell(text, "number")


def _size(value: Cell) -> Html:
    return cell(size_text(value) if isinstance(value, int) else _NOTHING, "number")


def _number(value: Cell) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else _NOTHING


def _text(value: Cell) -> str:
    return "" if value is None else str(value)
