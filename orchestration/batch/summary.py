"""Writes `summary.csv` and `summary.html` into a batch's folder."""

from __future__ import annotations

from orchestration.batch.files import write_text_over
from orchestration.batch.overview import Overview, read_overview
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stored_items import latest_items, stored_list
from orchestration.batch.summary_csv import csv_text
from orchestration.batch.summary_html import html_page
from orchestration.result_folder import writing_to

CSV_FILE = "summary.csv"
HTML_FILE = "summary.html"


def write_summaries(folder: BatchFolder) -> Overview:
    """Write what became of all items of the latest list, whichever shard did them.

    Several processes may do so at once, and an older text may come last. Each therefore looks
    once more when it has written; whoever is still at work will write anyway.

    Returns:
        What was written.

    Raises:
        BadItems: there is no list, or it has been damaged.
        DiskFull, OutputNotWritable: the file system refuses.
    """
    listed = stored_list(latest_items(folder))
    while True:
        overview = read_overview(folder, listed)
        with writing_to(folder.out):
            write_text_over(folder.out / CSV_FILE, csv_text(overview))
            write_text_over(folder.out / HTML_FILE, html_page(overview))
        again = read_overview(folder, listed)
        if again == overview or any(again.of("running")):
            return overview
