"""From the tables of an explanation to a summary: one prediction and the rows behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.findings.record import plain
from dataaudit.findings.schemas import ExplanationFindings, ExplanationProvenance
from dataaudit.summary.build import excerpt, order_cells
from dataaudit.summary.shapes import Cell, Check, Command, Term, Trust, Verdict, cell_of, first_picture
from dataaudit.summary.unjudged import strange_classes
from dataaudit.summary.verdict import checks
from dataaudit.summary.versus import VersusSummary, summarise_versus

_NBSP: Final = "\N{NO-BREAK SPACE}"
_SMALLEST: Final = 0.1  # per cent; less is said to be less
_NAME: Final = 60  # characters of a class in a sentence
_CARRIERS: Final = 8  # columns or words of a training row
_TERMS: Final = 40  # columns or words of the test row
_TYPED: Final = 300  # characters of a command that people would type again
_LEAST: Final = 0.05  # of the strongest effect of a row; weaker ones are not named

Rows = Mapping[tuple[str, str], tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class ClassShare:
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluentialRow:
    """A training row behind the prediction.

    `change` is the change of the test row's loss once it is removed, in nats. Of a carrier, `contribution`
    is the change of that loss with another cell, or without the word: below 0 what is there does harm. The
    places by parts of the influence are None where they were not asked for.
    """

    rank: int
    row_id: str
    label: str
    kind: str
    change: float
    effect: str
    relative_influence: float
    place: int
    place_without_train_loss: int | None
    place_without_hessian: int | None
    carriers: tuple[Term, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRow:
    """A training row that is alike; `value` is a cosine, or a distance in the encoded features."""

    rank: int
    row_id: str
    label: str
    value: float
    change: float
    effect: str
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True)
class RemovedRow:
    """A training row of the set that overturns a conclusion."""

    row_id: str
    label: str
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationSummary:
    """Everything that an explanation shows."""

    verdict: Verdict
    classes: tuple[ClassShare, ...]
    terms: tuple[Term, ...]
    cells: tuple[Cell, ...]
    harmful: tuple[InfluentialRow, ...]
    helpful: tuple[InfluentialRow, ...]
    cosine: tuple[NearRow, ...]
    euclidean: tuple[NearRow, ...]
    components: bool
    flip: str
    removed: tuple[RemovedRow, ...]
    versus: VersusSummary | None
    trust: Trust
    next_commands: tuple[Command, ...]
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return nested dictionaries of JSON's types; numbers that are not finite become None."""
        values: dict[str, Any] = plain(dataclasses.asdict(self))
        return values


def summarise_explanation(tables: ExplanationFindings, *, folder: str = "") -> ExplanationSummary:
    """Gather what an explanation shows.

    Parameters
    ----------
    tables : ExplanationFindings
    folder : str
        Where the tables are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    ExplanationSummary
    """
    p = tables.provenance
    rows, roles = _cells(tables), {str(role["column"]): str(role["role"]) for role in p.roles}
    terms = tuple(
        Term(roles.get(column, ""), column, level, None if level is not None else cell, value)
        for column, level, cell, value in tables.contributions.head(_TERMS)
        .select("column", "level", "cell", "contribution")
        .iter_rows()
    )
    behind = _influential(tables, rows, roles)
    trust = Trust(tuple(Check(*row) for row in tables.health.iter_rows()), (), None, None, ())
    near = {name: _near(tables, rows, name) for name in ("cosine", "euclidean")}
    first = tuple(dict.fromkeys(term.column for term in terms))
    versus = summarise_versus(tables, rows)
    return ExplanationSummary(
        verdict=_verdict(tables, versus, trust),
        classes=tuple(ClassShare(*row) for row in tables.probabilities.iter_rows()),
        terms=terms,
        cells=order_cells(rows.get(("test", p.test_row_id), ()), first),
        harmful=tuple(row for row in behind if row.kind == "harmful"),
        helpful=tuple(row for row in behind if row.kind == "helpful"),
        cosine=near["cosine"],
        euclidean=near["euclidean"],
        components=bool(p.settings.get("show_components")),
        flip=str(p.flip.get("sentence", "")),
        removed=tuple(
            RemovedRow(row_id, label, excerpt(cells), first_picture(cells))
            for row_id, label in tables.flip.select("train_row_id", "label").iter_rows()
            for cells in [rows.get(("train", row_id), ())]
        ),
        versus=versus,
        trust=trust,
        next_commands=_commands(p, folder),
        provenance=p.to_dict(),
    )


def _cells(tables: ExplanationFindings) -> dict[tuple[str, str], tuple[Cell, ...]]:
    found: dict[tuple[str, str], list[Cell]] = {}
    for row_id, column, text, part in tables.cells.iter_rows():
        found.setdefault((part, row_id), []).append(cell_of(column, text))
    return {key: tuple(cells) for key, cells in found.items()}


def _influential(
    tables: ExplanationFindings, rows: Rows, roles: Mapping[str, str]
) -> tuple[InfluentialRow, ...]:
    """Return the rows behind the prediction, each with the columns or words that carry its influence."""
    carried: dict[str, list[Term]] = {}
    wanted = ("train_row_id", "column", "level", "value", "finite_effect")
    words = set(tables.features.filter(pl.col("level").is_not_null())["column"])
    for row_id, column, level, value, effect in tables.features.select(wanted).iter_rows():
        if level is None and column in words:  # the whole text says less than its words
            continue
        term = Term(roles.get(column, ""), column, level, None if level is not None else value, effect)
        carried.setdefault(row_id, []).append(term)
    found = []
    for row in tables.influences.sort("rank").iter_rows(named=True):
        row_id, sign = row["train_row_id"], -1.0 if row["kind"] == "harmful" else 1.0
        mine = _telling(carried.get(row_id, ()), sign)
        found.append(
            InfluentialRow(
                rank=row["rank"],
                row_id=row_id,
                label=row["label"],
                kind=row["kind"],
                change=row["delta_loss_if_removed"],
                effect=row["effect"],
                relative_influence=row["relative_influence"],
                place=row["place"],
                place_without_train_loss=row["place_without_train_loss"],
                place_without_hessian=row["place_without_hessian"],
                carriers=mine,
                cells=order_cells(
                    rows.get(("train", row_id), ()), tuple(dict.fromkeys(term.column for term in mine))
                ),
            )
        )
    return tuple(found)


def _telling(terms: Iterable[Term], sign: float) -> tuple[Term, ...]:
    """Return the columns or words that pull the way the row does, the strongest first."""
    pulling = [term for term in terms if sign * term.contribution > 0]
    strongest = max((abs(term.contribution) for term in pulling), default=0.0)
    return tuple(t for t in pulling if abs(t.contribution) >= _LEAST * strongest)[:_CARRIERS]


def _near(tables: ExplanationFindings, rows: Rows, measure: str) -> tuple[NearRow, ...]:
    return tuple(
        NearRow(
            rank=row["rank"],
            row_id=row["train_row_id"],
            label=row["label"],
            value=row["value"],
            change=row["delta_loss_if_removed"],
            effect=row["effect"],
            excerpt=excerpt(cells),
            picture=first_picture(cells),
        )
        for row in tables.neighbours.filter(measure=measure).sort("rank").iter_rows(named=True)
        for cells in [rows.get(("train", row["train_row_id"]), ())]
    )


def _verdict(tables: ExplanationFindings, versus: VersusSummary | None, trust: Trust) -> Verdict:
    """Say what is predicted, whether that is right, what speaks for it, and which row matters most."""
    p = tables.provenance
    predicted, share = p.predicted_label[:_NAME], tables.probabilities["probability"][0]
    headline = f"Test row {p.test_row} is predicted “{predicted}” ({_percent(share)})"
    sentences = [
        _label(p),
        _cause(tables),
        _strongest(tables),
        str(p.flip.get("sentence", "")),
        "" if versus is None else _rival(versus),
        checks(trust),
    ]
    return Verdict(headline, tuple(sentence for sentence in sentences if sentence))


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < _SMALLEST:
        return f"<{_NBSP}{_SMALLEST}{_NBSP}%"
    if 100 - _SMALLEST < percent < 100:  # noqa: PLR2004 - per cent
        return f">{_NBSP}{100 - _SMALLEST}{_NBSP}%"
    return f"{percent:.1f}{_NBSP}%"


def _label(p: ExplanationProvenance) -> str:
    if p.label is None:
        strange = (p.settings.get("unjudged") or {}).get("strange")
        why = f"Its label{strange_classes(p)} is none that training knows" if strange else "It has no label"
        said = f"{why}, so it is explained for “{p.explained_label[:_NAME]}”: "
        return f"{said}helpful rows support the prediction, harmful rows speak against it."
    loss = f"a loss of {p.loss:.3g} nats"
    if p.label == p.predicted_label:
        return f"Its label says so too: {loss}."
    gets = f"which gets {_percent(p.probability)}"
    return f"Its label is “{p.label[:_NAME]}”, {gets}: the prediction is wrong, {loss}."


def _cause(tables: ExplanationFindings) -> str:
    speaks = tables.contributions.filter(pl.col("contribution") > 0).head(1)
    if not len(speaks):
        return ""
    return f"Most of all {speaks['effect'][0][:300]}."


def _strongest(tables: ExplanationFindings) -> str:
    first = tables.influences.sort("rank").head(1)
    if not len(first):
        return "No training row has any influence on it."
    row = first.row(0, named=True)
    does = row["effect"].removeprefix("removing this row ")
    return f"The training row that matters most is {row['train_row_id'][:120]}: removing it {does}."


def _rival(versus: VersusSummary) -> str:
    """Say what the other model predicts, and whether it is for the same rows."""
    other = versus.models[1]
    said = f"{other.name} predicts “{other.predicted[:_NAME]}” ({_percent(other.p_predicted)})"
    return (
        f"{said}; {versus.shared} of the {versus.of} rows of largest influence are the same for both models."
    )


def _commands(p: ExplanationProvenance, folder: str) -> tuple[Command, ...]:
    commands = [Command("Open the page", f"{folder.rstrip('/')}/report.html")] if folder else []
    if p.command.startswith("audit ") and len(p.command) <= _TYPED:
        if not p.flip and p.model == "logistic":
            commands.append(Command("How few rows hold it up", f"{p.command} --flip prediction"))
        if not p.settings.get("show_components"):
            commands.append(Command("The influence part by part", f"{p.command} --show-components"))
        commands.append(Command("The influences for your own tools", f"{p.command} --format jsonl"))
    return tuple(commands)
