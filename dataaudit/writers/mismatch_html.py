"""The page of a mismatch: one HTML file that loads nothing and has no script at all.

What it shows is laid out in `mismatch_page`; how it is made safe is in `rendering`.
"""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.schemas import MismatchFindings
from dataaudit.summary import MismatchSummary
from dataaudit.writers.base import Writer
from dataaudit.writers.mismatch_cards import Detail
from dataaudit.writers.mismatch_page import lay_out
from dataaudit.writers.rendering import SIZE, render

_DETAILS: Final = (  # how much is shown, from all to little: the first that fits is taken
    Detail(),
    Detail(rows=5, columns=6, text=120, pairs=6, pair_columns=8, lines=80, charts=10),
    Detail(prose=600, rows=3, columns=4, text=60, pairs=3, pair_columns=5, lines=40, charts=3),
    Detail(findings=8, prose=160, rows=2, columns=2, text=30, pairs=1, pair_columns=2, lines=10, charts=1),
)


def page(summary: MismatchSummary) -> str:
    """Return the whole page, in as much detail as 1 MB has room for.

    Parameters
    ----------
    summary : MismatchSummary

    Returns
    -------
    str
    """
    text = ""
    for detail in _DETAILS:
        text = render("mismatch.html.j2", {"page": lay_out(summary, detail)})
        if len(text.encode()) <= SIZE:
            break
    return text


def write(_tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write the whole page."""
    out.write(page(summary))


WRITER = Writer("html", ".html", "one page for people, with charts", write)
