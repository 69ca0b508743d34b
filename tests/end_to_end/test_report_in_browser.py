"""report.html as people see it: in headless Chromium, on a phone, in the dark, printed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from benchmarks.demo.report_picture import photograph
from tests.end_to_end.page_probes import CONTRASTS, LEAST_CONTRAST, OUTSIDE

REPOSITORY = Path(__file__).resolve().parents[2]
PHONE = 360
DESKTOP = 1280
# A sheet of A4 between margins of 1 cm, in CSS pixels.
SHEET = 718
MOST_PICTURE_BYTES = 300_000
PARITY_FAILED = 53
PATIENCE_S = 60
RESULTS = ["proven", "failed", "hostile", "unproven"]


@pytest.fixture(scope="module")
def report(zoo, shared_workplace, load_python, extract_python, tmp_path_factory):
    """`report(name)`: path of a report; each is made once."""
    made: dict[str, Path] = {}
    checkpoint = zoo("upconvcat")

    def hostile() -> list[str | Path]:
        folder = tmp_path_factory.mktemp("hostile")
        script = REPOSITORY / "tests" / "end_to_end" / "hostile_export.py"
        environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
        subprocess.run([load_python, script, folder], env=environment, check=True)
        return ["load", folder / "export", "--model", f"{folder / 'net.py'}:Net"]

    arguments: dict[str, Callable[[], list[str | Path]]] = {
        "proven": lambda: [checkpoint, "--model", "unet"],
        "failed": lambda: [checkpoint, "--model", "unet", "--tolerance", "1e-12"],
        "unproven": lambda: [checkpoint, "--model", "unet", "--no-prove"],
        "hostile": hostile,
    }

    def find(name: str) -> Path:
        if name not in made:
            options = ["--runtime", "local", "--out", name]
            done = shared_workplace.run(*arguments[name](), *options)
            assert done.returncode in (0, PARITY_FAILED), done.stderr
            made[name] = shared_workplace.folder / name / "report.html"
        return made[name]

    return find


@pytest.fixture
def show(browser, report) -> Iterator[Callable[..., Page]]:
    """`show(name, width, ...)`: a report in a window; it loads nothing and complains of nothing."""
    problems: list[str] = []
    contexts = []

    def open_page(name: str, width: int, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        address = report(name).as_uri()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(asked.url) if asked.url != address else 0)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Pictures are part of the page: Chromium reports their data URIs as requests too.
    assert [text for text in problems if not text.startswith("data:image/png;base64,")] == []


def visible_rows(page: Page) -> int:
    return page.locator("#mapping-table tbody tr:visible").count()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", RESULTS)
def test_nothing_is_off_the_screen_and_all_can_be_read(show, name, width):
    page = show(name, width)
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 50
        assert [entry for entry in contrasts if entry[0] < LEAST_CONTRAST] == []


def test_the_dark_page_is_dark_and_the_charts_follow(show):
    pages = [show("failed", DESKTOP, color_scheme=scheme) for scheme in ("light", "dark")]
    backgrounds = [p.evaluate("getComputedStyle(document.body).backgroundColor") for p in pages]
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]
    fill = "getComputedStyle(document.querySelector('.charts svg text')).fill"
    inks = [page.evaluate(fill) for page in pages]
    assert inks[0] != inks[1]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_filter(show, width):
    page = show("proven", width)
    everything = visible_rows(page)
    box = page.get_by_label("Filter")
    box.press_sequentially("KERNEL")
    kernels = visible_rows(page)
    assert 0 < kernels < everything
    texts = page.locator("#mapping-table tbody tr:visible").all_inner_texts()
    assert all("kernel" in text for text in texts)
    expect(page.locator("#filter-shown")).to_have_text(f"{kernels} of {everything} rows")
    box.fill("kernel enc")
    assert 0 < visible_rows(page) < kernels
    box.fill("no such name")
    assert visible_rows(page) == 0
    box.press("Enter")
    expect(page.locator("#filter-shown")).to_have_text(f"0 of {everything} rows")
    box.fill("")
    assert visible_rows(page) == everything


def test_the_keyboard_reaches_the_filter_and_scrolls_the_table(show):
    page = show("proven", PHONE)
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        if reached[-1] == "mapping-table":
            break
    assert reached[-2:] == ["filter", "mapping-table"]
    page.keyboard.press("ArrowRight")
    # It scrolls smoothly. The page's policy forbids what wait_for_function does.
    end = time.monotonic() + PATIENCE_S
    while page.evaluate("document.getElementById('mapping-table').scrollLeft") == 0:
        assert time.monotonic() < end, "the table does not scroll"
        page.wait_for_timeout(20)


@pytest.mark.parametrize("name", RESULTS)
def test_without_scripts_the_tables_are_there_and_the_filter_is_not(show, name):
    page = show(name, PHONE, java_script_enabled=False)
    rows = page.locator("#mapping-table tbody tr")
    assert rows.count() > 20
    expect(rows.first).to_be_visible()
    expect(page.locator("form")).to_be_hidden()


@pytest.mark.parametrize("name", RESULTS)
def test_on_paper(show, name):
    page = show(name, SHEET, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.scrollingElement.scrollWidth") <= SHEET
    wide = "Array.from(document.querySelectorAll('table')).map((t) => t.offsetWidth)"
    assert max(page.evaluate(wide)) <= SHEET
    assert [entry for entry in page.evaluate(CONTRASTS) if entry[0] < LEAST_CONTRAST] == []
    assert visible_rows(page) == page.locator("#mapping-table tbody tr").count() > 20
    expect(page.locator("form")).to_be_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("name", RESULTS)
def test_pictures_and_tables_can_be_heard(show, name):
    page = show(name, DESKTOP)
    pictures = page.get_by_role("img").all()
    labels = [p.get_attribute("aria-label") or p.get_attribute("alt") for p in pictures]
    assert all(labels)
    assert len(labels) >= 2
    for table in page.locator("table").all():
        caption = table.locator("caption").inner_text()
        assert page.get_by_role("table", name=caption, exact=True).count() == 1
        assert table.locator("thead th[scope=col]").count() > 1


def test_the_first_layer_that_differs_is_marked(show):
    page = show("hostile", DESKTOP)
    expect(page.locator(".charts svg text", has_text="first that differs: 0")).to_be_visible()
    expect(page.locator("tr.first")).to_have_count(1)
    assert page.locator(".panels img").count() == 3
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('.panels img'))"
        ".map((i) => [i.naturalWidth, i.naturalHeight])"
    )
    assert sizes == [[50, 40]] * 3


def test_names_run_nothing_and_the_policy_stops_what_gets_in(show):
    page = show("hostile", DESKTOP)
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.get_by_text("window.owned = 1").count() > 100


def test_the_policy_stops_a_script_that_got_in(browser, report):
    page = browser.new_page()
    page.goto(report("proven").as_uri())
    violation = page.evaluate(
        """() => new Promise((resolve) => {
          const stopped = (event) => resolve(event.violatedDirective);
          document.addEventListener("securitypolicyviolation", stopped);
          const script = document.createElement("script");
          script.textContent = "window.owned = 1";
          document.body.append(script);
        })"""
    )
    assert violation.startswith("script-src")
    assert page.evaluate("window.owned") is None
    page.close()


def test_the_readmes_picture_can_be_made_again(browser, report, tmp_path):
    target = tmp_path / "report.png"
    photograph(browser, report("proven"), target)
    assert target.stat().st_size < MOST_PICTURE_BYTES
    with Image.open(target) as made, Image.open(REPOSITORY / "benchmarks/demo/report.png") as kept:
        assert made.width == kept.width
        assert kept.height > made.width
