"""The page of an explanation: one HTML file that loads nothing and has no script at all.

What it shows is laid out in `explanation_page`; how it is made safe is in `rendering`.
"""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.summary import ExplanationSummary
from dataaudit.writers.base import Writer
from dataaudit.writers.explanation_page import Detail, lay_out
from dataaudit.writers.rendering import SIZE, render

_DETAILS: Final = (  # how much is shown, from all to little: the first that fits is taken
    Detail(),
    Detail(rows=10, text=1000, columns=20),
    Detail(rows=5, text=200, columns=8),
)


def page(summary: ExplanationSummary) -> str:
    """Return the whole page, in as much detail as 1 MB has room for."""
    text = ""
    for detail in _DETAILS:
        text = render("explanation.html.j2", {"page": lay_out(summary, detail)})
        if len(text.encode()) <= SIZE:
            break
    return text


def write(_tables: ExplanationFindings, summary: ExplanationSummary, out: TextIO) -> None:
    """Write the whole page."""
    out.write(page(summary))


WRITER = Writer("html", ".html", "one page for people", write)
