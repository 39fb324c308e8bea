"""The page of a check: one HTML file that loads nothing and has no script at all.

What it shows is laid out in `verdict_page`; how it is made safe is in `rendering`.
"""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.verdict import Verdict
from dataaudit.writers.base import Writer
from dataaudit.writers.rendering import SIZE, render
from dataaudit.writers.verdict_page import Detail, lay_out
from dataaudit.writers.verdict_places import Surroundings

_DETAILS: Final = (  # how much is shown, from all to little: the first that fits is taken
    Detail(),
    Detail(rows=50, text=300),
    Detail(rules=30, rows=20, lines=200, text=160),
    Detail(rules=20, rows=5, lines=100, text=80, documented=False),
    Detail(rules=10, rows=0, lines=50, text=40, documented=False),
)


def page(verdict: Verdict) -> str:
    """Return the whole page, in as much detail as 1 MB has room for.

    Parameters
    ----------
    verdict : Verdict

    Returns
    -------
    str
    """
    text = ""
    for detail in _DETAILS:
        text = render("check.html.j2", {"page": lay_out(verdict, detail)})
        if len(text.encode()) <= SIZE:
            break
    return text


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the whole page."""
    out.write(page(verdict))


WRITER = Writer("html", ".html", "one page for people", write)
