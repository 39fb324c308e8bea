"""An explanation on a terminal of 80 columns or more, through Rich."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dataaudit.escape import console_line as line
from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.report import words
from dataaudit.summary import ExplanationSummary, InfluentialRow, NearRow, RivalRow, VersusSummary
from dataaudit.writers import terminal
from dataaudit.writers.base import Writer

ROWS: Final = 6  # of each kind
_NEAR: Final = 4
_CARRIERS: Final = 2
_TERMS: Final = 6
_STYLES: Final = {"harmful": "bold red", "helpful": "green"}


def show(summary: ExplanationSummary, console: Console, *, rows: int = ROWS) -> None:
    """Print the prediction, what speaks for it, the rows behind it, its neighbours, and what to type next.

    Parameters
    ----------
    summary : ExplanationSummary
    console : rich.console.Console
        Its width, colours and stream are kept; NO_COLOR is Rich's business.
    rows : int
        How many harmful and how many helpful rows to show.
    """
    p = summary.provenance
    facts = f"{words.count(p['n_train'])} training rows, λ = {words.short(p['l2'])}"
    name = f"{line(p['test_row_id'], 80)} by {line(p['train'], 58)}"
    behind = sorted((*summary.harmful[:rows], *summary.helpful[:rows]), key=lambda row: row.rank)
    terminal.print_parts(
        console,
        [
            terminal.heading(name, facts, p["classes"]),
            terminal.verdict(summary.verdict),
            _terms(summary),
            _behind(behind) if behind else None,
            Text("What the loss of the test row does once the training row is removed, in nats.", "dim"),
            *_versus(summary.versus),
            _near(summary),
            _parts(behind) if summary.components and behind else None,
            terminal.trust(summary.trust),
            terminal.following(summary.next_commands),
        ],
    )


def write(_tables: ExplanationFindings, summary: ExplanationSummary, out: TextIO) -> None:
    """Write what a terminal would show, to a stream."""
    show(summary, Console(file=out))


def _terms(summary: ExplanationSummary) -> Text:
    """Say which of the row's own cells speak for and against the predicted class, in log-odds."""
    text = Text()
    for title, sign in (("For it", 1.0), ("Against", -1.0)):
        said = [
            f"{line(words.term(term), 40)} ({words.fixed(abs(term.contribution))})"
            for term in summary.terms
            if sign * term.contribution > 0
        ]
        if said:
            text.append(("\n" if text.plain else "") + f"{title}: ", "bold")
            text.append(", ".join(said[:_TERMS]))
    if text.plain:
        text.append(" log-odds each.", "dim")
    return text


def _behind(rows: list[InfluentialRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("training row", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("removed", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("carried by", overflow="fold")
    for row in rows:
        carriers = [line(words.term(term), 30) for term in row.carriers[:_CARRIERS]]
        table.add_row(
            Text(str(row.rank)),
            Text(line(row.row_id, 120)),
            Text(line(row.label, 30)),
            Text(_change(row.change)),
            Text(row.kind, _STYLES.get(row.kind, "")),
            Text(", ".join(carriers), "dim"),
        )
    return table


def _change(value: float, digits: int = 3) -> str:
    if not words.known(value):
        return words.MISSING
    return f"{'falls' if value < 0 else 'rises'} {words.short(abs(value), digits)}"


def _versus(versus: VersusSummary | None) -> list[Table | Text]:
    """Set two models side by side, then the rows behind each of them."""
    if versus is None:
        return []
    facts = _table(("", *(line(model.name, 24) for model in versus.models)))
    for name, said in (
        ("predicts", [f"{line(m.predicted, 20)}, {_percent(m.p_predicted)}" for m in versus.models]),
        ("loss of the label, nats", [words.short(m.loss) for m in versus.models]),
        ("influence and distance", [words.fixed(m.distance_correlation) for m in versus.models]),
        ("carried by the nearest tenth", [_percent(m.nearest_share) for m in versus.models]),
    ):
        facts.add_row(Text(name), *(Text(one) for one in said))
    rows = _table([part for m in versus.models for part in (f"{line(m.name, 24)}: row", "label", "removed")])
    for pair in zip_longest(*(m.behind[:ROWS] for m in versus.models)):
        rows.add_row(*(cell for row in pair for cell in _rival(row)))
    told = "Rank correlation of influence, by size, with distance in the encoded columns. "
    return [facts, Text(told + words.orders(versus), "dim"), rows]


def _rival(row: RivalRow | None) -> list[Text]:
    if row is None:
        return [Text(), Text(), Text()]
    style = _STYLES["harmful" if row.change < 0 else "helpful"]
    return [Text(line(row.row_id, 120)), Text(line(row.label, 30)), Text(_change(row.change, 2), style)]


def _percent(share: float) -> str:
    return terminal.percent(words.share(share))


def _table(names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "removed")
    return table


def _near(summary: ExplanationSummary) -> Table | None:
    if not summary.cosine and not summary.euclidean:
        return None
    table = _table(("nearest by cosine", "", "nearest by distance", ""))
    for at in range(min(_NEAR, max(len(summary.cosine), len(summary.euclidean)))):
        cells: list[Text] = []
        for found in (summary.cosine, summary.euclidean):
            cells += _neighbour(found[at]) if at < len(found) else [Text(), Text()]
        table.add_row(*cells)
    return table


def _neighbour(row: NearRow) -> list[Text]:
    return [Text(line(row.row_id, 120)), Text(f"{line(row.label, 30)}, {words.short(row.value)}")]


def _parts(rows: list[InfluentialRow]) -> Table:
    """Return the places of the rows by the whole influence, and by parts of its formula."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    names = ("training row", "place by influence", "without training loss", "without the Hessian")
    for at, name in enumerate(names):
        table.add_column(name, justify="right" if at else "left", overflow="fold")
    for row in rows:
        places = (row.place, row.place_without_train_loss, row.place_without_hessian)
        table.add_row(Text(line(row.row_id, 120)), *(Text(words.count(place)) for place in places))
    return table


WRITER = Writer("console", ".txt", "the explanation as a terminal shows it", write)
