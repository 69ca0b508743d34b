"""Photograph the top of a report in headless Chromium, for the README.

python -m benchmarks.demo.report_picture RESULT/report.html OUT.png
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a sandbox of its own it runs as root too, as in continuous integration; the page is ours.
CHROMIUM_ARGUMENTS = ("--no-sandbox",)
# On a busy machine with two cores.
START_TIMEOUT_MS = 120_000
WIDTH = 1120
MOST_HEIGHT = 2000
COLORS = 200


def find_chromium() -> str | None:
    """Path of this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """A headless browser, ended with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=list(CHROMIUM_ARGUMENTS),
            timeout=START_TIMEOUT_MS,
        )
        try:
            yield browser
        finally:
            browser.close()


def photograph(browser: Browser, report: Path, target: Path) -> None:
    """Write the picture of a report: from its top to the end of what is drawn of the proof."""
    page = browser.new_page(viewport={"width": WIDTH, "height": MOST_HEIGHT}, color_scheme="light")
    page.goto(report.resolve().as_uri())
    box = page.locator("section:has(> #proof)").bounding_box()
    height = MOST_HEIGHT if box is None else min(MOST_HEIGHT, box["y"] + box["height"] + 16)
    written = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    page.close()
    Image.open(io.BytesIO(written)).convert("RGB").quantize(COLORS).save(target, optimize=True)


def main() -> int:
    """Make the picture; 1 where there is no Chromium."""
    program = find_chromium()
    if program is None:
        print(f"None of {', '.join(CHROMIUM_NAMES)} is installed.", file=sys.stderr)
        return 1
    with open_browser(program) as browser:
        photograph(browser, Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
