"""The page: one HTML file that loads nothing, reads without JavaScript and without its style sheet.

Cells of the data are hostile. Every value that a template prints is made safe by `escape.block`, then escaped
by Jinja; a content security policy allows only the one style sheet and the one script, by their hashes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, TextIO

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from dataaudit.errors import WriteError
from dataaudit.findings import Findings
from dataaudit.summary import ReviewRow, Summary, summarise
from dataaudit.writers.base import Writer
from dataaudit.writers.cards import FULL, Detail, card
from dataaudit.writers.escape import block
from dataaudit.writers.page import lay_out

SIZE: Final = 1_000_000  # bytes of a page; larger ones were what users of other tools complained about most
_SLACK: Final = 200  # bytes: counts in words get longer as rows come
_LONGEST: Final = 20_000  # characters of any one value
_DETAILS: Final = (  # how much of a row is shown, from all to little
    FULL,
    Detail(text=280, near=0, terms=4, neighbours=2, columns=20),
    Detail(line=60, text=100, near=0, terms=3, neighbours=1, columns=8),
)
_NOTEBOOK_ROWS: Final = 50


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
    room = SIZE - len(_render(summary, shown=len(chosen), rows=()).encode()) - _SLACK
    fitting = _fit(chosen, room)
    return _render(summary, shown=len(fitting), rows=fitting)


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
    inner = escape(page(summary, rows=rows))
    title = escape(block(summary.verdict.headline))
    size = 'width="100%" height="720"'
    return f'<iframe title="{title}" sandbox="allow-scripts" {size} srcdoc="{inner}"></iframe>'


def notebook(findings: Findings) -> str:
    """Return what ``_repr_html_`` shows for findings: the page of the first rows, in a frame."""
    return fragment(summarise(findings, top=_NOTEBOOK_ROWS))


def write_report(findings: Findings, path: Path) -> Path:
    """Write the page of findings to a file, whole or not at all.

    Parameters
    ----------
    findings : Findings
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
    text = page(summarise(findings, folder=path.parent.as_posix()))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        what = f"the report cannot be written to {path.as_posix()}: {error.strerror or error}"
        raise WriteError(what, "name a folder that you may write to") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write the whole page."""
    out.write(page(summary))


def _fit(rows: tuple[ReviewRow, ...], room: int) -> tuple[Markup, ...]:
    """Render the first rows in full and the later ones in brief, so that all fit `room` bytes.

    Where even the briefest do not fit, the last rows are left out.
    """
    row = _environment().get_template("row.html.j2").module.row  # type: ignore[attr-defined]
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


def _render(summary: Summary, *, shown: int, rows: tuple[Markup, ...]) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=lay_out(summary, rows=shown),
            rows=Markup("\n").join(rows),
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


def _asset(name: str) -> str:
    """Read a file of ``reports/``; its lines end in newlines, as in the page, or the hash would not fit."""
    text = files("dataaudit.reports").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").strip()


def _hash(text: str) -> str:
    """Return what a content security policy calls sha256: the digest in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _safe(value: object) -> object:
    """Show control characters of every printed value, before Jinja escapes it."""
    return block(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        keep_trailing_newline=False,
    )


WRITER = Writer("html", ".html", "one page for people, with charts", write)
