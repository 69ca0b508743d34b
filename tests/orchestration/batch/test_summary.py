"""`summary.csv` and `summary.html`: what they tell, and that no name in them does anything."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch import summary as summary_module
from orchestration.batch.markup import Html, element, link
from orchestration.batch.overview import Overview, read_overview
from orchestration.batch.parity_plot import Compared, decade_of, parity_plot
from orchestration.batch.record import Failure
from orchestration.batch.summary import write_summaries
from orchestration.batch.summary_csv import COLUMNS, csv_text
from orchestration.batch.summary_html import html_page
from tests.orchestration.batch.made_batch import ELSEWHERE, PARITY, MadeBatch, at, figures

EVIL = "<script>window.owned = 1</script>"


@pytest.fixture
def batch(tmp_path: Path) -> MadeBatch:
    return MadeBatch(tmp_path / "converted")


class Page(HTMLParser):
    """What is in a page: links, headings, cells and every tag; all that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        assert not any(name.startswith("on") for name in given)
        self.links += [str(value) for name, value in given.items() if name in ("href", "src")]
        self.ids += [str(value) for name, value in given.items() if name == "id"]
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_one_row_an_item_in_the_order_of_the_list(batch: MadeBatch) -> None:
    batch.add("b", "done", started=at(0), ended=at(2.5))
    batch.add(
        "a", "failed", failure=PARITY, result=figures(0.5, "failed"), log="batch/logs/a.1.log"
    )
    batch.add("c")
    batch.add("d", "released")
    text = csv_text(batch.overview())
    first, second, third, fourth = rows_of(text)
    assert list(first) == list(COLUMNS)
    assert first == dict.fromkeys(COLUMNS, "") | {
        "name": "b",
        "state": "done",
        "verdict": "proven",
        "max_rel": "1e-06",
        "max_abs": "3e-06",
        "worst": "head/BiasAdd:0",
        "tolerance": "0.0001",
        "reason": "1 output and 23 layers compared",
        "checkpoint": "/data/b/model.ckpt-7",
        "where": "models.csv line 2",
        "model": "unet",
        "device": "cpu",
        "parameters": "12875",
        "tensors": "46",
        "checkpoint_bytes": "1000000",
        "result_bytes": "70000",
        "seconds": "2.5",
        "extract_s": "1.5",
        "load_s": "0.75",
        "extract_peak_bytes": "260000000",
        "load_peak_bytes": "310000000",
        "attempt": "1",
        "host": "n1",
        "slurm_job": "15_2",
        "started": at(0),
        "ended": at(2.5),
        "report": "b/report.html",
    }
    assert (second["state"], second["error"], second["exit_code"]) == (
        "failed",
        "ParityFailed",
        "53",
    )
    assert second["happened"] == PARITY.happened
    assert second["log"] == "batch/logs/a.1.log"
    named = {"name": "c", "state": "queued", "where": "models.csv line 4"}
    assert third == dict.fromkeys(COLUMNS, "") | named | {"checkpoint": "/data/c/model.ckpt-7"}
    assert fourth["note"] == "given back by n1, Slurm job 15_2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("=1+1", "'=1+1", id="formula"),
        pytest.param("+1", "'+1", id="plus"),
        pytest.param("-1", "'-1", id="minus"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="at"),
        pytest.param("\t=1", "'\t=1", id="tab"),
        pytest.param("＝1", "'＝1", id="wide"),  # noqa: RUF001
        pytest.param("a=1", "a=1", id="harmless"),
        pytest.param('say "a", b', 'say "a", b', id="quotes-and-commas"),
        pytest.param("two\nlines", "two lines", id="lines"),
        pytest.param("\x1b[2J\u202ea", "\\x1b[2J\\u202ea", id="control"),
        pytest.param("half \ud800", "half \\ud800", id="surrogate"),
    ],
)
def test_no_text_is_a_formula_and_each_row_is_a_line(
    batch: MadeBatch, text: str, shown: str
) -> None:
    batch.add("a", "failed", failure=Failure("C", 33, text, "", ""))
    written = csv_text(batch.overview())
    assert written.encode().count(b"\n") == 2
    (row,) = rows_of(written)
    assert row["happened"] == shown


def test_numbers_stay_numbers(batch: MadeBatch) -> None:
    batch.add("a", "done", result=figures(-1.5, parameters=[1], seconds=None))
    (row,) = rows_of(csv_text(batch.overview()))
    assert (row["max_rel"], row["parameters"]) == ("-1.5", "")


def full(batch: MadeBatch) -> MadeBatch:
    """A batch of which each part of the page has something to show."""
    batch.add("fine", "done", started=at(0), ended=at(90))
    batch.add("quick", "done", result=figures(0.0), ended=at(1))
    batch.add("differs", "failed", failure=PARITY, result=figures(0.5, "failed"))
    batch.add("short", "failed")
    batch.add("gone", "running")
    batch.add("we ird#%?:é", "done", result=figures(None, "unproven"))
    return batch


def test_results_that_were_there_count_as_done(batch: MadeBatch) -> None:
    batch.add("made", "done", result=figures(2e-7))
    batch.add("found", "skipped", result=figures(3e-5))
    text = html_page(batch.overview())
    assert "2 of 2 are done, none failed." in text
    assert "of each of 2 results" in text


def test_the_page(batch: MadeBatch) -> None:
    text = html_page(full(batch).overview())
    page = Page(text)
    assert page.ids == ["parity", "failed", "left", "slowest", "items"]
    assert "3 of 6 are done, 2 failed, 1 left." in text
    assert [link for link in page.links if link.startswith("#")] == [f"#{id_}" for id_ in page.ids]
    assert [link for link in page.links if link.startswith(".")][-4:] == [
        "./fine/report.html",
        "./quick/report.html",
        "./differs/report.html",
        "./we%20ird%23%25%3F%3A%C3%A9/report.html",
    ]
    assert "./batch/logs/short.1.log" in page.links
    assert len(page.links) == len([x for x in page.links if x[0] in "#."])
    assert ["fine", "1 min 30 s", "1.5 s", "0.8 s", "1 MB", "260 MB", "310 MB"] in page.rows
    assert ["gone", "lost with n1, Slurm job 15_2; it will be done again"] in page.rows
    assert ["differs", "It computes something else.", "Look at it.", "log"] in page.rows
    whole = ["quick", "done", "proven", "0", "head/BiasAdd:0", "1.0 s", "1 MB"]
    assert [*whole, "/data/quick/model.ckpt-7"] in page.rows
    causes = re.findall(r"<h3>(.*?)</h3>", text)
    assert causes == ["CorruptIndex (1)", "ParityFailed (1)"]


def test_nothing_of_it_loads_or_runs(batch: MadeBatch) -> None:
    text = html_page(full(batch).overview())
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(Page(text).tags)
    policy = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', text)
    assert policy == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    assert "http:" not in text
    assert "https:" not in text


def test_an_empty_page(batch: MadeBatch) -> None:
    page = Page(html_page(batch.overview()))
    assert page.ids == []
    batch.add("a")
    assert Page(html_page(batch.overview())).ids == ["items"]


@pytest.mark.parametrize("place", ["name", "failure", "result", "log", "owner"])
def test_names_are_text(batch: MadeBatch, place: str) -> None:
    failure = Failure(EVIL, 33, EVIL, EVIL, EVIL) if place == "failure" else PARITY
    fields: dict[str, Any] = {"failure": failure}
    if place == "result":
        fields["result"] = dict.fromkeys(figures(), EVIL)
    if place == "log":
        fields["log"] = "javascript:alert(1)"
    name = EVIL.replace("/", "") if place == "name" else "a"
    batch.add(name, "failed", **fields)
    if place == "owner":
        owner = vars(ELSEWHERE) | {"host": EVIL}
        batch.add("b", "running", owner=type(ELSEWHERE)(**owner))
    page = Page(html_page(batch.overview()))
    assert "script" not in page.tags
    assert all(link[0] == "#" or link.startswith("./") for link in page.links)


def test_long_lists_are_cut(batch: MadeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.batch.summary_html.MOST_ROWS", 3)
    for number in range(5):
        batch.add(f"item-{number}")
    text = html_page(batch.overview())
    assert "the first 3 of 5 items; summary.csv holds all" in text
    assert sum("queued" in row for row in Page(text).rows) == 3


@pytest.mark.parametrize(
    ("value", "decade"),
    [
        pytest.param(0.0, -13, id="equal"),
        pytest.param(1e-300, -13, id="tiny"),
        pytest.param(1e-7, -7, id="edge"),
        pytest.param(9.99e-7, -7, id="below-an-edge"),
        pytest.param(1.0, 0, id="one"),
        pytest.param(5e9, 3, id="huge"),
        pytest.param(None, None, id="none"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param(float("inf"), None, id="infinity"),
    ],
)
def test_decade(value: float | None, decade: int | None) -> None:
    assert decade_of(value) == decade


def test_the_picture() -> None:
    values = [2e-7, 3e-7, 4e-7, 5e-6]
    compared = [Compared(value, True) for value in values]
    compared += [Compared(0.02, False), Compared(3e-7, False), Compared(None, False)]
    plot = parity_plot(compared, 1e-4)
    bars = re.findall(r'class="bar (\w+)" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', plot)
    # Decades -7 to -2 share the width but for the place of what is no number.
    step = (340 - 56 - 2 - 20) / 6
    lefts = {round((float(x) - 1 - 20) / step, 2) for _, x, *_ in bars[:-1]}
    assert [verdict for verdict, *_ in bars] == ["proven", "failed", "proven", "failed", "failed"]
    assert lefts == {0, 1, 5}
    heights = [float(height) / 134 for *_, height in bars]
    assert heights == pytest.approx([0.75, 0.25, 0.25, 0.25, 0.25], abs=1e-3)
    # The failed one of the first decade stands on the others.
    assert float(bars[1][2]) + float(bars[1][4]) == pytest.approx(float(bars[0][2]), abs=0.02)
    (allowed_x,) = re.findall(r'<line class="allowed" x1="(.*?)"', plot)
    assert float(allowed_x) == pytest.approx(20 + 3 * step, abs=0.01)
    words = (
        "Largest differences, relative to the scale. 1e-7 to 1e-6: 3 proven, 1 failed;"
        " 1e-6 to 1e-5: 1 proven; 1e-2 to 1e-1: 1 failed; no number: 1 failed."
    )
    assert f'aria-label="{words}"' in plot


@pytest.mark.parametrize(
    ("compared", "tolerance"),
    [
        pytest.param([Compared(None, False)], None, id="no-number-alone"),
        pytest.param([Compared(0.0, True)], 1e-4, id="equal"),
        pytest.param([Compared(0.0, True)], 1e-16, id="tiny-tolerance"),
        pytest.param([Compared(1e9, False)], 0.5, id="huge"),
    ],
)
def test_every_picture_lies_in_its_frame(compared: list[Compared], tolerance: float | None) -> None:
    plot = parity_plot(compared, tolerance)
    places = [float(x) for x in re.findall(r' x[12]?="(.*?)"', plot)]
    assert places
    assert all(0 <= x <= 360 for x in places)
    heights = [float(y) for y in re.findall(r' y[12]?="(.*?)"', plot)]
    assert all(0 <= y <= 210 for y in heights)


def test_markup_escapes_what_is_not_its_own() -> None:
    inner = element("b", "<", Html("<i></i>"), None, ["&", "\x1b"], title='"')
    assert inner == '<b title="&quot;">&lt;<i></i>&amp;\\x1b</b>'
    assert element("p", f"{inner}").startswith("<p>&lt;b")
    assert link("//host/a b", "<") == '<a href=".///host/a%20b">&lt;</a>'


def test_both_files_are_written_whole(batch: MadeBatch) -> None:
    full(batch).store_list()
    write_summaries(batch.folder)
    overview = batch.overview()
    out = batch.folder.out
    assert (out / "summary.csv").read_text(encoding="utf-8") == csv_text(overview)
    assert (out / "summary.html").read_text(encoding="utf-8") == html_page(overview)
    assert sorted(path.name for path in out.iterdir()) == ["batch", "summary.csv", "summary.html"]


def test_whoever_writes_last_has_seen_everything(
    batch: MadeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.add("a", "done")
    batch.add("b", "released")
    batch.store_list()
    looked: list[Overview] = []

    def read(*arguments: Any) -> Overview:
        looked.append(read_overview(*arguments))
        if len(looked) == 1:
            # Between this look and the writing, another process ends the last item.
            batch.add("b", "done", attempt=2)
        return looked[-1]

    monkeypatch.setattr(summary_module, "read_overview", read)
    write_summaries(batch.folder)
    states = [row["state"] for row in rows_of((batch.folder.out / "summary.csv").read_text())]
    assert states == ["done", "done"]
