"""Markdown for a comment on a pull request, or a job's summary: at most 64 kB, whatever the cells say."""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.schemas import Findings
from dataaudit.report import words
from dataaudit.summary import ReviewRow, Summary, excerpt
from dataaudit.writers.base import Writer
from dataaudit.writers.markdown_text import (
    FIRST,
    ROWS,
    Part,
    code,
    details,
    document,
    following,
    names,
    prose,
    table,
    trust,
    verdict,
)

_AGAINST: Final = 3  # words or columns that speak against a label
_HEAD: Final = ("", "row", "label → suggested", "wrong", "loss", "against the label", "begins")


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write verdict, rows to look at first, how far to trust it, and what to type next."""
    p = summary.provenance
    first, later = summary.rows[:FIRST], summary.rows[FIRST : FIRST + ROWS]
    title = "Ten rows to look at first" if len(first) == FIRST else "Rows to look at first"
    ranking = words.RANKINGS.get(p["ranking"], p["ranking"])
    data = f"{code(p['dataset'], 120)}: {words.count(p['n_rows'])} rows, classes {names(p['classes'])}"
    parts = [
        *verdict(summary.verdict.headline, summary.verdict.sentences),
        Part(f"{data}; run {code(p['run_id'])} of dataaudit {prose(p['version'])}."),
        Part(f"### {title}" if first else ""),
        Part(_table(first)),
        Part(f"In order of {prose(ranking)}; losses in nats, the row left out of training." if first else ""),
        details(f"The next {len(later)}", _table(later)),
        details("By label", _by_label(summary)),
        *trust(summary.trust, none="No refits were made, so the predicted changes of loss are not verified."),
        *following(summary.next_commands),
    ]
    out.write(document(parts))


def _table(rows: tuple[ReviewRow, ...]) -> str:
    """Return the rows; where cells are withheld, there is no column for them."""
    columns = len(_HEAD) if any(row.cells for row in rows) else len(_HEAD) - 1
    return table(_HEAD[:columns], [_fields(row)[:columns] for row in rows])


def _fields(row: ReviewRow) -> tuple[str, ...]:
    terms = [words.term(term) for term in row.evidence if term.contribution < 0]
    against = [code(term, 30) for term in dict.fromkeys(terms)]
    return (
        str(row.rank),
        code(row.row_id),
        f"{code(row.label, 40)} → {code(row.suggested_label, 40)}",
        words.share(row.p_wrong),
        words.fixed(row.loo_loss),
        ", ".join(against[:_AGAINST]),
        code(excerpt(row.cells), 100),
    )


def _by_label(summary: Summary) -> str:
    rows = [
        (code(one.label, 40), words.count(one.rows), words.count(one.expected_wrong))
        for one in summary.by_label
    ]
    return table(("label", "rows", "of these expected to be wrong"), rows)


WRITER = Writer("markdown", ".md", "for a comment on a pull request", write)
