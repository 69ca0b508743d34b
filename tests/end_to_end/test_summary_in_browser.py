"""summary.html as people see it: in headless Chromium, on a phone, in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from orchestration.batch.summary import write_summaries
from tests.end_to_end.page_probes import CONTRASTS, LEAST_CONTRAST, OUTSIDE
from tests.orchestration.batch.made_batch import PARITY, MadeBatch, figures

EVIL = "<img src=x onerror='window.owned = 1'>"


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> MadeBatch:
    """A batch with something of everything, and long and hostile names."""
    batch = MadeBatch(tmp_path_factory.mktemp("batch") / "converted")
    for number in range(30):
        result = figures(10.0 ** -(number % 8 + 3.5), "proven" if number % 8 else "failed")
        state, more = ("done", {}) if number % 8 else ("failed", {"failure": PARITY})
        batch.add(f"model.ckpt-{number:05}-0123456789", state, result=result, **more)
    batch.add("a" * 180, "failed")
    batch.add(EVIL, "failed", result={**figures(None, "failed"), "worst": EVIL}, failure=PARITY)
    batch.add("gone", "running")
    batch.add("never")
    batch.add("100% #1? é", "done", result=figures(None, "unproven"))
    batch.store_list()
    write_summaries(batch.folder)
    return batch


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_all_is_on_the_screen_can_be_read_and_does_nothing(
    browser: Browser, batch: MadeBatch, width: int, scheme: str
) -> None:
    problems: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    address = (batch.folder.out / "summary.html").as_uri()
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda asked: problems.append(asked.url) if asked.url != address else 0)
    page.goto(address)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [entry for entry in contrasts if entry[0] < LEAST_CONTRAST] == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert dark == (scheme == "dark")
    assert page.evaluate("window.owned") is None
    assert page.locator("td", has_text=EVIL).count() > 1
    assert problems == []
    context.close()


def test_a_link_leads_to_the_report(browser: Browser, batch: MadeBatch) -> None:
    name = "100% #1? é"
    report = batch.folder.out / name / "report.html"
    report.parent.mkdir()
    report.write_text("<title>the report</title>", encoding="utf-8")
    page = browser.new_page(java_script_enabled=False)
    page.goto(Path(batch.folder.out / "summary.html").as_uri())
    page.locator("#items ~ div a", has_text=name).click()
    page.wait_for_url(report.as_uri())
    assert page.title() == "the report"
    page.close()
