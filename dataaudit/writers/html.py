"""The page: one HTML file that loads nothing, reads without JavaScript and without its style sheet.

What it shows is laid out in `page`; how it is made safe is in `rendering`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, TextIO

from markupsafe import Markup

from dataaudit.files import write_page
from dataaudit.findings.schemas import AnyFindings, Findings
from dataaudit.report.blocks import Report
from dataaudit.report.build import shown
from dataaudit.summary import MismatchSummary, ReviewRow, Summary
from dataaudit.summary.kinds import AnySummary
from dataaudit.writers import mismatch_html, report_html
from dataaudit.writers.base import Writer
from dataaudit.writers.cards import FULL, Detail, card
from dataaudit.writers.page import lay_out
from dataaudit.writers.rendering import SIZE, environment, framed, render
from dataaudit.writers.review_data import island, review_data

_SLACK: Final = 200  # bytes: counts in words get longer as rows come
_DETAILS: Final = (  # how much of a row is shown, from all to little
    FULL,
    Detail(text=280, near=0, terms=4, neighbours=2, columns=20),
    Detail(line=60, text=100, near=0, terms=3, neighbours=1, columns=8),
)
_NOTEBOOK_ROWS: Final = 50
_SCRIPTS: Final = ("report.js", "review.js")


def page(summary: Summary, *, rows: int | None = None) -> str:
    """Return the whole page.

    Parameters
    ----------
    summary : Summary
    rows : int or None
        Ranked rows to show; all of the summary's if None. Later rows are shown in less detail, then fewer of
        them, until the page has at most 1 MB.

    Returns
    -------
    str
    """
    chosen = summary.rows[:rows]
    room = SIZE - len(_render(summary, chosen, texts=()).encode()) - _SLACK
    fitting = _fit(chosen, room)
    return _render(summary, chosen[: len(fitting)], texts=fitting)


def fragment(summary: Summary, *, rows: int = _NOTEBOOK_ROWS) -> str:
    """Return the page in a frame, for a notebook's ``_repr_html_``: it cannot reach the notebook around it.

    Parameters
    ----------
    summary : Summary
    rows : int
        Ranked rows to show; fewer than on the page, since a notebook keeps its outputs.

    Returns
    -------
    str
    """
    return framed(page(summary, rows=rows), summary.verdict.headline)


def notebook(findings: AnyFindings) -> str:
    """Return what ``_repr_html_`` shows for findings of any kind: the page in a frame, with fewer rows."""
    summary = shown(findings, top=_NOTEBOOK_ROWS)[1]
    headline = summary.headline if isinstance(summary, Report) else summary.verdict.headline
    return framed(page_of(summary), headline)


def page_of(summary: AnySummary | Report) -> str:
    """Return the whole page of findings of any kind."""
    if isinstance(summary, Report):
        return report_html.page(summary)
    if isinstance(summary, MismatchSummary):
        return mismatch_html.page(summary)
    return page(summary)


def write_report(findings: AnyFindings, path: Path) -> Path:
    """Write the page of findings to a file, whole or not at all.

    Parameters
    ----------
    findings : AnyFindings
        What their audit was told to withhold is not on the page.
    path : Path
        Replaced if it is there; its folder is shown in the commands to type next.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    return write_page(page_of(shown(findings, folder=path.parent.as_posix())[1]), path)


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write the whole page."""
    out.write(page(summary))


def _fit(rows: tuple[ReviewRow, ...], room: int) -> tuple[Markup, ...]:
    """Render the first rows in full and the later ones in brief, so that all fit `room` bytes.

    Where even the briefest do not fit, the last rows are left out.
    """
    row = environment().get_template("row.html.j2").module.row  # type: ignore[attr-defined]
    kept: list[Markup] = []
    for detail in _DETAILS:
        texts = [row(card(entry, detail)) for entry in rows]
        kept = _spliced(kept, texts, room)
        if len(kept) == len(rows):
            break
    return tuple(kept)


def _spliced(rich: list[Markup], poor: list[Markup], room: int) -> list[Markup]:
    """Return as many rich texts as leave room for the rest of the poor ones; what has no room is left out."""
    left = room - sum(map(_size, poor))
    at = 0
    while at < len(rich) and left >= _size(rich[at]) - _size(poor[at]):
        left -= _size(rich[at]) - _size(poor[at])
        at += 1
    texts = [*rich[:at], *poor[at:]]
    while texts and left < 0:
        left += _size(texts.pop())
    return texts


def _size(text: Markup) -> int:
    return len(text.encode()) + 1  # and the newline


def _render(summary: Summary, rows: tuple[ReviewRow, ...], *, texts: tuple[Markup, ...]) -> str:
    decidable = review_data(summary, rows)
    values = {
        "page": lay_out(summary, rows=len(rows)),
        "rows": Markup("\n").join(texts),
        "queue": decidable,
        "island": island(decidable) if decidable else "",
    }
    return render("report.html.j2", values, scripts=_SCRIPTS if decidable else _SCRIPTS[:1])


WRITER = Writer("html", ".html", "one page for people, with charts", write)
