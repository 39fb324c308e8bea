"""A mismatch in Markdown, for a comment on a pull request: at most 64 kB, whatever the cells say."""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import words
from dataaudit.summary import FindingCard, MismatchSummary, NamedRow
from dataaudit.writers.base import Writer
from dataaudit.writers.markdown_text import (
    FIRST,
    ROWS,
    Part,
    bullets,
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
from dataaudit.writers.mismatch_cards import proof_sentence

_CELLS: Final = 3  # of a training row
_HEAD: Final = ("", "severity", "about", "wrong test rows", "training rows", "without them, the mean loss")
_BESIDE: Final = "Too few refits were made to compare predicted with measured changes of loss."


def write(_tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write verdict, findings, rows to look at first, how far to trust it, and what to type next."""
    p = summary.provenance
    data = f"{code(p['train'], 100)} ({words.count(p['n_train'])} training rows) against "
    data += f"{code(p['test'], 100)} ({words.count(p['n_test'])} test rows), classes {names(p['classes'])}"
    found, differ = summary.findings, [d.message for d in summary.shift if d.significant]
    parts = [
        *verdict(summary.verdict.headline, summary.verdict.sentences),
        Part(f"{data}; run {code(p['run_id'])} of dataaudit {prose(p['version'])}."),
        Part("### Findings" if found else ""),
        Part(table(_HEAD, [_line(card) for card in found[:FIRST]])),
        *(_first(found[0], p["target"]) if found else ()),
        details("More findings", table(_HEAD, [_line(card) for card in found[FIRST : FIRST + ROWS]])),
        *_harmful(summary),
        details("What differs in test", bullets(differ[:ROWS])),
        *trust(summary.trust, none=_BESIDE),
        *following(summary.next_commands),
    ]
    out.write(document(parts))


def _line(card: FindingCard) -> tuple[str, ...]:
    change = words.moved(card.measured if words.known(card.measured) else card.predicted)
    how = "measured" if words.known(card.measured) else "predicted"
    return (
        str(card.finding),
        prose(card.severity),
        code(card.slice, 100) if card.slice else prose(card.title, 100),
        words.count(card.n_errors),
        words.count(card.n_train_rows) if card.n_train_rows else "all",
        f"{change} ({how})" if words.known(card.predicted) else "not proved",
    )


def _first(card: FindingCard, target: str) -> list[Part]:
    """Say what the first finding is, what to do, and which rows it rests on."""
    columns = [cell.column for cell in next((row.cells for row in card.rows if row.cells), ())][:_CELLS]
    head = ("training row", code(target, 40), *(code(name, 40) for name in columns))
    rows = [_row(row, columns) for row in card.rows[:FIRST]]
    said = f"**Finding {card.finding}.** {prose(card.title)}. {prose(card.advice)}"
    return [Part(f"{said} {prose(proof_sentence(card))}"), Part(table(head, rows))]


def _row(row: NamedRow, columns: list[str]) -> tuple[str, ...]:
    texts = {cell.column: cell.text for cell in row.cells}
    return code(row.row_id), code(row.label, 40), *(code(texts.get(name, ""), 60) for name in columns)


def _harmful(summary: MismatchSummary) -> list[Part]:
    """Return the training rows that cost the wrong test rows most."""
    rows = [
        (code(one.train_row_id), code(one.label, 40), words.moved(-one.harm_on_errors))
        for one in summary.harmful[:FIRST]
    ]
    title = "Ten training rows to look at first" if len(rows) == FIRST else "Training rows to look at first"
    head = ("training row", "label", "removed, the summed loss of the wrong test rows")
    return [Part(f"### {title}" if rows else ""), Part(table(head, rows))]


WRITER = Writer("markdown", ".md", "for a comment on a pull request", write)
