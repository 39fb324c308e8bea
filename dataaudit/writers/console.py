"""The summary on a terminal of 80 columns or more, through Rich; the command line shows it on stderr."""

from __future__ import annotations

from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dataaudit.escape import console_line as line
from dataaudit.findings.schemas import Findings
from dataaudit.report import words
from dataaudit.summary import ReviewRow, Summary
from dataaudit.writers import terminal
from dataaudit.writers.base import Writer

ROWS: Final = 20
_GAP: Final = 2  # columns after each column
_ROOM: Final = 18  # columns from which on the words against the label are worth showing
_ROW: Final = 24  # least width of a row name, where it has as much
_AGAINST: Final = 3


def show(summary: Summary, console: Console, *, rows: int = ROWS) -> None:
    """Print the verdict, the first rows, what is wrong with the audit itself, and what to type next.

    Parameters
    ----------
    summary : Summary
    console : rich.console.Console
        Its width, colours and stream are kept; NO_COLOR is Rich's business.
    rows : int
        How many rows the table shows.
    """
    table = _table(summary.rows[:rows], console.width) if summary.rows else None
    about = terminal.trust(summary.trust), terminal.following(summary.next_commands)
    head = _heading(summary), terminal.verdict(summary.verdict)
    terminal.print_parts(console, [*head, table, _order(summary, rows), *about])


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write what a terminal would show, to a stream."""
    show(summary, Console(file=out))


def _heading(summary: Summary) -> Text:
    p = summary.provenance
    facts = f"{words.count(p['n_rows'])} rows, {words.count(p['n_features'])} features"
    return terminal.heading(p["dataset"], facts, p["classes"])


def _table(rows: tuple[ReviewRow, ...], width: int) -> Table:
    cells = [(Text(str(r.rank)), Text(line(r.row_id, 120)), _change(r), _wrong(r), _loss(r)) for r in rows]
    heads = "", "row", "label → suggested", "wrong", "loss"
    columns = zip(heads, zip(*cells, strict=True), strict=True)
    widths = [max(len(head), *(cell.cell_len for cell in column)) for head, column in columns]
    left = width - sum(widths) - _GAP * (len(widths) + 1)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("row", overflow="fold", min_width=min(_ROW, widths[1]))
    table.add_column("label → suggested", overflow="fold")
    table.add_column("wrong", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    wide = left >= _ROOM
    if wide:
        table.add_column("against the label", overflow="ellipsis", no_wrap=True, max_width=left)
    for row, fields in zip(rows, cells, strict=True):
        table.add_row(*fields, *([_against(row)] if wide else []))
    return table


def _wrong(row: ReviewRow) -> Text:
    return Text(terminal.percent(words.share(row.p_wrong)))


def _loss(row: ReviewRow) -> Text:
    return Text(words.fixed(row.loo_loss))


def _change(row: ReviewRow) -> Text:
    return Text.assemble(line(row.label, 40), (" → ", "dim"), (line(row.suggested_label, 40), "bold"))


def _against(row: ReviewRow) -> Text:
    terms = [line(words.term(term), 30) for term in row.evidence if term.contribution < 0]
    return Text(", ".join(terms[:_AGAINST]), style="dim")


def _order(summary: Summary, rows: int) -> Text:
    p = summary.provenance
    more = (
        f"First {min(rows, len(summary.rows))} of {words.count(p['n_rows'])} rows, "
        if summary.rows
        else "Rows "
    )
    ranking = words.RANKINGS.get(p["ranking"], line(p["ranking"]))
    reason = line(p["ranking_reason"], 400)
    said = "" if not reason or p["ranking_reason"] in summary.verdict.sentences else f" {reason}"
    return Text.assemble((f"{more}in order of {ranking}; losses in nats.{said}", "dim"))


WRITER = Writer("console", ".txt", "the summary as a terminal shows it", write)
