"""The summary on a terminal of 80 columns or more, through Rich; the command line shows it on stderr."""

from __future__ import annotations

from typing import Final, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dataaudit.findings import Findings
from dataaudit.summary import ReviewRow, Summary
from dataaudit.writers import words
from dataaudit.writers.base import Writer
from dataaudit.writers.escape import console_line as line

ROWS: Final = 20
_FIXED: Final = 30  # columns of rank, probability, loss and gaps
_ROOM: Final = 18  # columns from which on the words against the label are worth showing
_ROW: Final = 24  # least width of a row name, where it has as much
_AGAINST: Final = 3
_CLASSES: Final = 6  # named in the heading


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
    parts: list[RenderableType] = [_heading(summary), _verdict(summary)]
    if summary.rows:
        parts.append(_table(summary.rows[:rows], console.width))
    parts += [part for part in (_order(summary, rows), _trust(summary), _next(summary)) if part.plain]
    for part in parts:
        console.print(part, highlight=False)
        console.print()


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write what a terminal would show, to a stream."""
    show(summary, Console(file=out))


def _heading(summary: Summary) -> Text:
    """Name the data; everything from outside becomes `Text`, in which Rich reads no markup."""
    p = summary.provenance
    names = [line(name, 30) for name in p["classes"][:_CLASSES]]
    classes = ", ".join([*names, "…"] if len(p["classes"]) > _CLASSES else names)
    facts = f"{words.count(p['n_rows'])} rows, {words.count(p['n_features'])} features, classes {classes}"
    return Text.assemble((line(p["dataset"], 120), "bold"), (f"\n{facts}", "dim"))


def _verdict(summary: Summary) -> Text:
    headline = _percent(line(summary.verdict.headline))
    sentences = _percent(" ".join(line(sentence, 600) for sentence in summary.verdict.sentences))
    return Text.assemble((headline, "bold"), (".\n" if sentences else "."), sentences)


def _percent(text: str) -> str:
    """Close up ``80 %``: Rich breaks lines at no-break spaces too."""
    return text.replace("\N{NO-BREAK SPACE}%", "%")


def _table(rows: tuple[ReviewRow, ...], width: int) -> Table:
    cells = [(Text(str(r.rank)), Text(line(r.row_id, 120)), _change(r), _wrong(r), _loss(r)) for r in rows]
    taken = max(_ROW, *(cell[1].cell_len for cell in cells)) + max(cell[2].cell_len for cell in cells)
    wide = width - taken - _FIXED >= _ROOM
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("row", overflow="fold", min_width=min(_ROW, max(cell[1].cell_len for cell in cells)))
    table.add_column("label → suggested", overflow="fold")
    table.add_column("wrong", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    if wide:
        table.add_column("against the label", overflow="ellipsis", no_wrap=True)
    for row, fields in zip(rows, cells, strict=True):
        table.add_row(*fields, *([_against(row)] if wide else []))
    return table


def _wrong(row: ReviewRow) -> Text:
    return Text(_percent(words.share(row.p_wrong)))


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


def _trust(summary: Summary) -> Text:
    """Say how the refits went, and each check that failed in full; checks that passed are on the page."""
    trust, text = summary.trust, Text()
    if trust.slope is not None and trust.pearson is not None:
        text.append(
            f"Predicted against measured over {len(trust.refits)} true refits: "
            f"slope {words.fixed(trust.slope, 3)}, Pearson {words.fixed(trust.pearson, 4)}."
        )
    for check in trust.failed:
        text.append("\n" if text.plain else "")
        text.append("not in order  ", style="bold red")
        text.append(f"{line(check.check, 60)}: {line(check.message, 400)}")
    return text


def _next(summary: Summary) -> Text:
    text = Text()
    for command in summary.next_commands:
        text.append(("\n" if text.plain else "Next\n") + f"  {command.purpose}:\n    ", style="dim")
        text.append(line(command.command, 400), style="bold")
    return text


WRITER = Writer("console", ".txt", "the summary as a terminal shows it", write)
