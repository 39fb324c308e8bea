"""An explanation in Markdown, for a comment: at most 64 kB, whatever the cells say."""

from __future__ import annotations

from typing import Final, TextIO

from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.report import words
from dataaudit.summary import ExplanationSummary, InfluentialRow, NearRow, VersusSummary
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

_CARRIERS: Final = 2
_HEAD: Final = ("", "training row", "label", "", "removed, the loss", "carried by")
_NONE: Final = "audit explain makes no refits of single rows: the changes of loss are predicted."


def write(_tables: ExplanationFindings, summary: ExplanationSummary, out: TextIO) -> None:
    """Write the prediction, what speaks for it, the rows behind it, and what to type next."""
    p = summary.provenance
    behind = sorted((*summary.harmful, *summary.helpful), key=lambda row: row.rank)
    data = f"{code(p['test_row_id'])} by {code(p['train'], 100)}, {words.count(p['n_train'])} training rows, "
    data += f"classes {names(p['classes'])}; run {code(p['run_id'])} of dataaudit {prose(p['version'])}."
    title = "Ten training rows to look at first" if len(behind) >= FIRST else "Training rows behind it"
    parts = [
        *verdict(summary.verdict.headline, summary.verdict.sentences),
        Part(data),
        Part(f"### {title}" if behind else ""),
        Part(table(_HEAD, [_row(row) for row in behind[:FIRST]])),
        details("More training rows", table(_HEAD, [_row(row) for row in behind[FIRST : FIRST + ROWS]])),
        details("What speaks for and against it", _terms(summary)),
        *(() if summary.versus is None else _versus(summary.versus)),
        details("Nearest by cosine", _near(summary.cosine, "cosine")),
        details("Nearest by distance", _near(summary.euclidean, "distance")),
        *trust(summary.trust, none=_NONE),
        *following(summary.next_commands),
    ]
    out.write(document(parts))


def _row(row: InfluentialRow) -> tuple[str, ...]:
    carriers = [code(name, 40) for name in dict.fromkeys(words.term(term) for term in row.carriers)]
    return (
        str(row.rank),
        code(row.row_id),
        code(row.label, 40),
        prose(row.kind),
        words.moved(row.change),
        ", ".join(carriers[:_CARRIERS]),
    )


def _terms(summary: ExplanationSummary) -> str:
    """List what the row's own cells add to the score of the predicted class, in log-odds."""
    rows = [
        (
            code(words.term(term), 60),
            f"speaks {'for' if term.contribution > 0 else 'against'} it",
            words.short(abs(term.contribution)),
        )
        for term in summary.terms[:ROWS]
    ]
    return table(("column or word", "", "log-odds"), rows)


def _versus(versus: VersusSummary) -> list[Part]:
    """Set two models side by side, and the rows behind each below."""
    models = versus.models
    facts = [
        ("predicts", *(f"{code(m.predicted, 40)}, {words.share(m.p_predicted)}" for m in models)),
        ("loss (nats)", *(words.short(m.loss) for m in models)),
        ("influence and distance, rank correlation", *(words.fixed(m.distance_correlation) for m in models)),
        ("carried by the nearest tenth", *(words.share(m.nearest_share) for m in models)),
    ]
    parts = [Part("### Two models"), Part(table(("", *(prose(m.name) for m in models)), facts))]
    parts.append(Part(prose(words.orders(versus))))
    for model in models:
        lines = [
            (code(r.row_id), code(r.label, 40), words.short(r.distance), words.moved(r.change),
             words.count(r.place), words.count(r.other_place))
            for r in model.behind[:FIRST]
        ]  # fmt: skip
        head = (
            "training row",
            "label",
            "distance",
            "removed, the loss",
            "place by influence",
            "under the other",
        )
        parts.append(details(f"Training rows behind it: {prose(model.name)}", table(head, lines)))
    return parts


def _near(rows: tuple[NearRow, ...], measure: str) -> str:
    lines = [
        (code(row.row_id), code(row.label, 40), words.short(row.value), code(row.excerpt, 100))
        for row in rows
    ]
    columns = 4 if any(row.excerpt for row in rows) else 3  # cells may be withheld
    return table(("training row", "label", measure, "begins")[:columns], [one[:columns] for one in lines])


WRITER = Writer("markdown", ".md", "for a comment", write)
