"""What stands where on the page of an explanation, every number in words: ``explanation.html.j2`` sets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import Plot
from dataaudit.summary import (
    Cell,
    ExplanationSummary,
    InfluentialRow,
    ModelLine,
    NearRow,
    RivalRow,
    Term,
    VersusSummary,
)
from dataaudit.writers.cards import begins, marker, picture_or_text
from dataaudit.writers.matrices import BarList, BarRow
from dataaudit.writers.mismatch_cards import Grid
from dataaudit.writers.run import CheckLine, Run, check_lines, describe_run, more
from dataaudit.writers.versus_figures import distances

_NAME: Final = 60  # characters of a column's name
_BEGIN: Final = 140  # characters of the beginning of a row
_TERMS: Final = 12
_RIVALS: Final = 10  # rows behind each of two models


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown: training rows of each kind, characters of a cell, columns of a row."""

    rows: int = 20
    text: int = 2400
    columns: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RowText:
    """A row, in words: its cells with what carries its influence marked."""

    title: str
    label: str
    effect: str
    carriers: tuple[str, ...]
    text: Markup | None
    columns: tuple[tuple[str, Markup], ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersusText:
    """Two models, in words: what they predict, charts, and the rows behind each side by side."""

    said: str
    facts: Grid
    charts: tuple[Plot, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationPage:
    """The page's parts in the order in which they are read."""

    dataset: str
    headline: str
    sentences: tuple[str, ...]
    classes: BarList
    terms: Grid
    row: RowText
    harmful: tuple[RowText, ...]
    helpful: tuple[RowText, ...]
    cosine: Grid
    euclidean: Grid
    parts: Grid | None
    flip: str
    removed: Grid
    versus: VersusText | None
    checks: tuple[CheckLine, ...]
    run: Run


def lay_out(summary: ExplanationSummary, detail: Detail) -> ExplanationPage:
    """Put a summary into words and places.

    Parameters
    ----------
    summary : ExplanationSummary
    detail : Detail
        How much the page has room for.

    Returns
    -------
    ExplanationPage
    """
    p = summary.provenance
    behind = sorted((*summary.harmful, *summary.helpful), key=lambda row: row.rank)
    facts = (
        ("Run", line(p["run_id"])),
        ("Training rows", words.count(p["n_train"])),
        ("Test row", line(p["test_row_id"], 160)),
    )
    return ExplanationPage(
        dataset=line(" and ".join(dict.fromkeys(line(p[part], 80) for part in ("train", "test")))),
        headline=line(summary.verdict.headline),
        sentences=tuple(line(sentence, 600) for sentence in summary.verdict.sentences),
        classes=_classes(summary),
        terms=_terms(summary),
        row=_own(summary, detail),
        harmful=tuple(_row(row, detail) for row in summary.harmful[: detail.rows]),
        helpful=tuple(_row(row, detail) for row in summary.helpful[: detail.rows]),
        cosine=_near(summary.cosine, "cosine"),
        euclidean=_near(summary.euclidean, "distance"),
        parts=_parts(behind) if summary.components else None,
        flip=line(summary.flip, 600),
        removed=Grid(
            ("training row", "label", "begins"),
            tuple(
                (line(r.row_id, 160), line(r.label, 60), begins(r.excerpt, r.picture, length=_BEGIN))
                for r in summary.removed
            ),
            "",
        ),
        versus=None if summary.versus is None else _versus(summary.versus, detail),
        checks=check_lines(summary.trust.checks),
        run=describe_run(p, facts=facts, origins=(*p["origins"], *p["test_origins"])),
    )


def _classes(summary: ExplanationSummary) -> BarList:
    shown = summary.classes[:_TERMS]
    rows = tuple(
        BarRow(line(c.label, 60), (words.share(c.probability),), round(100 * c.probability, 1)) for c in shown
    )
    left = more(len(summary.classes) - len(shown), "class", "classes")
    return BarList(
        "classes", "Probability of each class", "By the model that was trained on all training rows.",
        ("class", "probability", "compared"), rows, left,
    )  # fmt: skip


def _terms(summary: ExplanationSummary) -> Grid:
    """List what the row's own cells do to the score, each as a sentence."""
    predicted, rival = (line(summary.provenance[f"{name}_label"], 40) for name in ("predicted", "rival"))
    shown, odds = summary.terms[:_TERMS], f"the log-odds of “{predicted}” over “{rival}”"
    rows = tuple((line(words.term(term), 80), f"{_adds(term.contribution)} {odds}") for term in shown)
    left = more(len(summary.terms) - len(shown), "column or word", "columns or words: contributions.parquet")
    return Grid(("column or word", "what it does"), rows, left)


def _adds(contribution: float) -> str:
    size = words.short(abs(contribution))
    return f"adds {size} to" if contribution > 0 else f"takes {size} from"


def _own(summary: ExplanationSummary, detail: Detail) -> RowText:
    p = summary.provenance
    label = "no known label" if p["label"] is None else f"labelled “{line(p['label'], 60)}”"
    name = f"Test row {p['test_row']}"
    return _text(name, label, "", cells=summary.cells, terms=summary.terms, detail=detail)


def _row(row: InfluentialRow, detail: Detail) -> RowText:
    return _text(
        line(row.row_id, 160),
        f"labelled “{line(row.label, 60)}”",
        line(row.effect.removeprefix("removing this row "), 200),
        cells=row.cells,
        terms=row.carriers,
        detail=detail,
    )


def _text(
    title: str, label: str, effect: str, *, cells: Sequence[Cell], terms: Sequence[Term], detail: Detail
) -> RowText:
    marks = marker(tuple(terms))
    shown = [(line(c.column, _NAME), picture_or_text(c, detail.text, marks)) for c in cells]
    single = len(shown) == 1
    carriers = [
        f"{line(words.term(term), 60)}: {'without it' if term.role == 'text' else 'with another cell there'}"
        f", the loss of the test row {words.moved(term.contribution)}"
        for term in terms
    ]
    return RowText(
        title=title,
        label=label,
        effect=effect,
        carriers=tuple(carriers) if effect else (),
        text=shown[0][1] if single else None,
        columns=() if single else tuple(shown[: detail.columns]),
        more="" if single else more(len(shown) - detail.columns, "column", "columns"),
    )


def _near(rows: Sequence[NearRow], measure: str) -> Grid:
    head = ("training row", "label", measure, "removing it", "begins")
    return Grid(
        head,
        tuple(
            (
                line(row.row_id, 160),
                line(row.label, 60),
                words.short(row.value),
                line(row.effect.removeprefix("removing this row "), 200),
                begins(row.excerpt, row.picture, length=_BEGIN),
            )
            for row in rows
        ),
        "",
    )


def _parts(rows: Sequence[InfluentialRow]) -> Grid:
    head = ("training row", "influence", "without the training loss", "without the Hessian")
    places = [
        (row.row_id, row.place, row.place_without_train_loss, row.place_without_hessian) for row in rows
    ]
    return Grid(head, tuple((line(name, 160), *(_place(at) for at in found)) for name, *found in places), "")


def _versus(versus: VersusSummary, detail: Detail) -> VersusText:
    facts = (
        ("predicts", *(f"{line(m.predicted, 60)}, {words.share(m.p_predicted)}" for m in versus.models)),
        (
            f"probability of “{line(versus.explained, 40)}”",
            *(words.share(m.p_explained) for m in versus.models),
        ),
        ("loss (nats)", *(words.short(m.loss) for m in versus.models)),
        (
            "rank correlation of influence, by size, and distance",
            *(words.fixed(m.distance_correlation) for m in versus.models),
        ),
        ("carried by the nearest tenth of the rows", *(words.share(m.nearest_share) for m in versus.models)),
        ("λ", *(words.short(m.l2) for m in versus.models)),
        ("basis", *(line(m.basis, 120) for m in versus.models)),
    )
    names = tuple(line(model.name, 60) for model in versus.models)
    return VersusText(
        said=words.orders(versus),
        facts=Grid(("", *names), facts, ""),
        charts=distances(versus),
        rows=tuple((line(model.name, 60), _rivals(model, detail)) for model in versus.models),
    )


def _rivals(model: ModelLine, detail: Detail) -> tuple[tuple[str, str, str], ...]:
    """Return name, what is known of it, and how it begins, of the rows behind a model's prediction."""
    rows = model.behind[: min(_RIVALS, detail.rows)]
    return tuple(
        (line(row.row_id, 160), _known(row), begins(row.excerpt, row.picture, length=_BEGIN)) for row in rows
    )


def _known(row: RivalRow) -> str:
    places = (
        f"by influence place {words.count(row.place)}, under the other model {words.count(row.other_place)}"
    )
    loss = f"labelled “{line(row.label, 60)}”: without it, the loss {words.moved(row.change)}"
    return f"{loss}. Distance {words.short(row.distance)}; {places}."


def _place(at: int | None) -> str:
    return words.MISSING if at is None else f"place {words.count(at)}"
