"""``report.html``, the report for people: one file that loads nothing from anywhere.

``page`` puts it together by Jinja2 from ``template.html`` (with ``macros.html``), ``style.css`` and
``filter.js``; ``coverage`` counts; ``charts`` draws with Matplotlib and ``pictures`` with Pillow.
"""

from stage_load.report_page.page import prepare_drawing, report_page

__all__ = ["prepare_drawing", "report_page"]
