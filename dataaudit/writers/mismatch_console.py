"""The summary of a mismatch on a terminal of 80 columns or more, through Rich."""

from __future__ import annotations

from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dataaudit.escape import console_line as line
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import words
from dataaudit.summary import FindingCard, MismatchSummary
from dataaudit.writers import terminal
from dataaudit.writers.base import Writer

ROWS: Final = 10
_DIFFERENCES: Final = 6  # sentences on what differs, where no test row has a label
_NAME: Final = 120  # characters of what a finding is about
_STYLES: Final = {"high": "bold red", "medium": "bold", "note": "dim"}


def show(summary: MismatchSummary, console: Console, *, rows: int = ROWS) -> None:
    """Print the verdict, the findings, what to do about the first, and what to type next.

    Parameters
    ----------
    summary : MismatchSummary
    console : rich.console.Console
        Its width, colours and stream are kept; NO_COLOR is Rich's business.
    rows : int
        How many findings the table shows.
    """
    p = summary.provenance
    facts = f"{words.count(p['n_train'])} training rows, {words.count(p['n_test'])} test rows"
    name = f"{line(p['train'], 58)} against {line(p['test'], 58)}"
    head = terminal.heading(name, facts, p["classes"]), terminal.verdict(summary.verdict)
    about = terminal.trust(summary.trust), terminal.following(summary.next_commands)
    terminal.print_parts(console, [*head, *_answer(summary, rows), *about])


def write(_tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write what a terminal would show, to a stream."""
    show(summary, Console(file=out))


def _answer(summary: MismatchSummary, rows: int) -> list[Table | Text]:
    if not summary.labelled:
        said = [d.message for d in summary.shift if d.significant and d.column is not None]
        return [Text("\n".join(f"- {line(message, 300)}" for message in said[:_DIFFERENCES]))]
    if not summary.findings:
        return []
    return [_table(summary.findings[:rows]), _legend(summary, rows), _first(summary.findings[0])]


def _table(findings: tuple[FindingCard, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("about", overflow="fold")
    table.add_column("wrong", justify="right", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("predicted", no_wrap=True)
    table.add_column("measured", no_wrap=True)
    for one in findings:
        table.add_row(
            Text(str(one.finding)),
            Text(line(one.severity, 8), style=_STYLES.get(one.severity, "")),
            Text(line(one.slice or one.title, _NAME)),
            Text(words.count(one.n_errors)),
            Text(words.count(one.n_train_rows) if one.n_train_rows else "all"),
            Text(_change(one.predicted)),
            Text(_change(one.measured)),
        )
    return table


def _change(value: float | None) -> str:
    if value is None or not words.known(value):
        return words.MISSING
    return f"{'falls' if value < 0 else 'rises'} {words.short(abs(value), 2)}"


def _legend(summary: MismatchSummary, rows: int) -> Text:
    n = len(summary.findings)
    first = f"First {rows} of {n} findings. " if n > rows else ""
    said = "Wrong: mispredicted test rows; rows: training rows behind them; then what their mean loss does, "
    return Text(f"{first}{said}in nats, without those training rows (all: once rows weigh by class).", "dim")


def _first(finding: FindingCard) -> Text:
    title, advice = (terminal.percent(line(text, 600)) for text in (finding.title, finding.advice))
    return Text.assemble((f"{finding.finding}. {title}.\n", "bold"), advice)


WRITER = Writer("console", ".txt", "the summary as a terminal shows it", write)
