"""Report of an explanation: one prediction, and the training rows behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import polars as pl

from dataaudit.findings.schemas import ExplanationFindings, ExplanationProvenance
from dataaudit.report import blocks as b
from dataaudit.report import common, versus, words
from dataaudit.report.common import LABEL, NAME, joined
from dataaudit.report.rows import Term, Value, begins, order_values, record, term_name, value_of

Fact = dict[str, Any]
Rows = Mapping[tuple[str, str], tuple[Value, ...]]

_CARRIERS: Final = 8  # columns or words of a training row
_TERMS: Final = 12  # columns or words of the test row on the page
_SIDE: Final = 20  # harmful rows, and helpful ones
_SHORT: Final = 6  # the same on a terminal
_TEXT: Final = 2400  # characters of a cell
_COLUMNS: Final = 40
_LEAST: Final = 0.05  # of the strongest effect of a row; weaker ones are not named
_ROW: Final = 160  # characters of a row's name
_TONES: Final = {"harmful": "against", "helpful": "for"}


def report(f: ExplanationFindings, *, folder: str = "") -> b.Report:
    """Say what is predicted, what speaks for it, which rows are behind it, and what to type next."""
    p, rows = f.provenance, _values(f)
    terms, behind, rivals = _terms(f), _behind(f, rows), versus.models(f, rows)
    data = (b.Cell(p.test_row_id), " by ", b.Cell(p.train, 100))
    flip = str(p.flip.get("sentence", ""))
    agreement = versus.agreement(f, rivals)
    return b.Report(
        kind="explanation",
        over=("Explanation of one prediction, from ", *common.pair_names(p)),
        name=(b.Cell(p.test_row_id), " by ", b.Cell(p.train, 58)),
        facts=common.heading(p, f"{words.count(p.n_train)} training rows, λ = {words.short(p.l2)}"),
        headline=_headline(f),
        sentences=common.said(
            _label(p), _cause(f), _strongest(f), flip, versus.sentence(f, rivals), common.checked(f.health)
        ),
        about=common.about(p, (*data, f", {words.count(p.n_train)} training rows")),
        sections=(
            b.Section("The row", _row(f, terms, rows), rank=0, key="row", folded=True),
            b.Section("Training rows behind it", _sides(behind), rank=0, key="behind", lead=_EXACT),
            *versus.sections(f, rivals, agreement),
            *_flip_set(f, flip, rows),
            b.Section("Nearest rows", _nearest(f, rows), rank=0, key="near", lead=_ALIKE, folded=True),
            *_parts(f, behind),
            common.trust(f.health, _NONE, page=False),
            _following(p, folder),
            *common.run(p, _facts(p)),
        ),
        lines=(b.Table(caption="Training rows", rows=_lines(f)),),
        records="influences",
        version=p.version,
        provenance=p.to_dict(),
    )


_EXACT: Final = (
    "What removing each row, and training again, does to the loss of the test row: exact influence on the "
    "fitted model, with the correction for the row’s own leverage."
)
_ALIKE: Final = (
    "Training rows that look most like it. They know neither the labels nor the model: a near row need not "
    "matter, and a row that matters need not be near."
)
_BY_PART: Final = (
    "Influence weighs a row by its own training loss and by the inverse Hessian. The places among all "
    "training rows, by size, of the whole and with either part left out (Koh & Liang 2017, section 2.3). "
    "Rows stand in the order of the change of the loss above, which is corrected for the row’s own leverage; "
    "influence is first order, so the places need not follow it."
)
_NONE: Final = "audit explain makes no refits of single rows: the changes of loss are predicted."


def _facts(p: ExplanationProvenance) -> tuple[tuple[str, b.Inline], ...]:
    return (
        ("Run", b.Cell(p.run_id)),
        ("Training rows", words.count(p.n_train)),
        ("Test row", b.Cell(p.test_row_id, _ROW)),
    )


def _values(f: ExplanationFindings) -> dict[tuple[str, str], tuple[Value, ...]]:
    """Return the cells of rows by part and name."""
    found: dict[tuple[str, str], list[Value]] = {}
    for row_id, column, text, part in f.cells.iter_rows():
        found.setdefault((part, row_id), []).append(value_of(column, text))
    return {key: tuple(values) for key, values in found.items()}


def _terms(f: ExplanationFindings) -> list[Term]:
    """Return what the test row's own cells, or words, add to the predicted class, the strongest first."""
    roles = {str(role["column"]): str(role["role"]) for role in f.provenance.roles}
    columns = f.contributions.select("column", "level", "cell", "contribution")
    return [
        Term(roles.get(column, ""), column, level, None if level is not None else cell, value)
        for column, level, cell, value in columns.iter_rows()
    ]


def _behind(f: ExplanationFindings, rows: Rows) -> list[Fact]:
    """Return the rows behind the prediction, each with its cells and what carries its influence."""
    roles = {str(role["column"]): str(role["role"]) for role in f.provenance.roles}
    texts = set(f.features.filter(pl.col("level").is_not_null())["column"])
    carried: dict[str, list[Term]] = {}
    columns = f.features.select("train_row_id", "column", "level", "value", "finite_effect")
    for row_id, column, level, value, effect in columns.iter_rows():
        if level is None and column in texts:  # the whole text says less than its words
            continue
        term = Term(roles.get(column, ""), column, level, None if level is not None else value, effect)
        carried.setdefault(row_id, []).append(term)
    found = []
    for row in f.influences.sort("rank").iter_rows(named=True):
        carriers = _telling(carried.get(row["train_row_id"], ()), -1.0 if row["kind"] == "harmful" else 1.0)
        values = order_values(rows.get(("train", row["train_row_id"]), ()), (t.column for t in carriers))
        found.append(row | {"carriers": carriers, "values": values})
    return found


def _telling(terms: Iterable[Term], sign: float) -> tuple[Term, ...]:
    """Return the columns or words that pull the way the row does, the strongest first."""
    pulling = [term for term in terms if sign * term.contribution > 0]
    strongest = max((abs(term.contribution) for term in pulling), default=0.0)
    return tuple(t for t in pulling if abs(t.contribution) >= _LEAST * strongest)[:_CARRIERS]


def _headline(f: ExplanationFindings) -> str:
    p, share = f.provenance, f.probabilities["probability"][0]
    return f"Test row {p.test_row} is predicted “{p.predicted_label[:LABEL]}” ({words.share(share)})"


def _label(p: ExplanationProvenance) -> b.Inline:
    if p.label is None:
        strange = (p.settings.get("unjudged") or {}).get("strange")
        why = (
            f"Its label{common.strange_classes(p)} is not one that training knows"
            if strange
            else "It has no label"
        )
        explained = f"{why}, so it is explained for “{p.explained_label[:LABEL]}”: "
        return f"{explained}helpful rows support the prediction, harmful rows speak against it."
    loss = f"a loss of {p.loss:.3g} nats"
    if p.label == p.predicted_label:
        return f"Its label says so too: {loss}."
    gets = f"which gets {words.share(p.probability)}"
    return f"Its label is “{p.label[:LABEL]}”, {gets}: the prediction is wrong, {loss}."


def _cause(f: ExplanationFindings) -> str:
    speaks = f.contributions.filter(pl.col("contribution") > 0).head(1)
    return f"Most of all {speaks['effect'][0][:300]}." if len(speaks) else ""


def _strongest(f: ExplanationFindings) -> b.Inline:
    first = f.influences.sort("rank").head(1)
    if not len(first):
        return "No training row has any influence on it."
    row = first.row(0, named=True)
    return (
        "The training row that matters most is ",
        b.Cell(row["train_row_id"], NAME),
        f": removing it {_does(row)}.",
    )


def _does(row: Fact) -> str:
    return str(row["effect"]).removeprefix("removing this row ")


def _row(f: ExplanationFindings, terms: list[Term], rows: Rows) -> tuple[b.Block, ...]:
    """Return classes and cells of the row, and what its cells do."""
    p = f.provenance
    name = f"Test row {p.test_row}"
    label: tuple[b.Part, ...] = (
        (", no known label.",) if p.label is None else (", labelled “", b.Cell(p.label, LABEL), "”.")
    )
    values = order_values(rows.get(("test", p.test_row_id), ()), (t.column for t in terms))
    cells = record(values, terms, of=name, length=_TEXT, columns=_COLUMNS)
    own = b.Fold("Its cells", (cells,), open=len(values) == 1, of=name)
    table = _terms_table(p, terms)
    return (
        b.Only(b.PAGE, (b.Grid(((_classes(f), b.Sentence((name, *label)), own), (table,))),)),
        b.Only(b.MARKDOWN, (table,)),
        b.Only(b.TERMINAL, _speaking(terms)),
    )


def _classes(f: ExplanationFindings) -> b.Table:
    shown = f.probabilities.head(_TERMS)
    return b.Table(
        caption="Probability of each class",
        head=("class", "probability"),
        rows=tuple((b.Cell(name, LABEL), words.share(p)) for name, p in shown.iter_rows()),
        bars=tuple(shown["probability"]),
        total=len(f.probabilities),
        rest=("class", "classes"),
        lead="By the model that was trained on all training rows.",
    )


def _terms_table(p: ExplanationProvenance, terms: list[Term]) -> b.Table:
    over = (" the log-odds of “", b.Cell(p.predicted_label, 40), "” over “", b.Cell(p.rival_label, 40), "”")
    rows = tuple((b.Cell(term_name(t)), (_adds(t.contribution), *over)) for t in terms[:_TERMS])
    return b.Table(
        caption="What its own cells do, the strongest first",
        head=("column or word", "what it does"),
        rows=rows,
        total=len(terms),
        rest=("column or word", "columns or words: contributions.parquet"),
    )


def _adds(contribution: float) -> str:
    size = words.short(abs(contribution))
    return f"adds {size} to" if contribution > 0 else f"takes {size} from"


def _speaking(terms: list[Term]) -> tuple[b.Block, ...]:
    """Say which cells speak for and against the predicted class, in log-odds."""
    facts: list[tuple[str, b.Inline]] = []
    for title, sign in (("For it", 1.0), ("Against", -1.0)):
        mine = [term for term in terms if sign * term.contribution > 0][:_SHORT]
        if mine:
            named = [(b.Cell(term_name(t), 40), f" ({words.fixed(abs(t.contribution))})") for t in mine]
            facts.append((title, (*joined(named), ", in log-odds.")))
    return (b.Facts(tuple(facts)),) if facts else ()


def _sides(behind: list[Fact]) -> tuple[b.Block, ...]:
    """Return harmful rows next to helpful ones; other formats have one table of both."""
    columns = []
    for kind, lead in (
        ("harmful", "Without them the test row would be predicted better. The strongest first."),
        ("helpful", "Without them it would be predicted worse. The strongest first."),
    ):
        mine = [row for row in behind if row["kind"] == kind]
        cards = b.Cards(items=tuple(_card(row) for row in mine[:_SIDE]), empty="None.")
        columns.append((b.Group(kind.capitalize(), (b.Sentence(lead, "quiet"), cards)),))
    few = _few(behind)
    return (
        b.Only(b.PAGE, (b.Grid(tuple(columns)),)),
        b.Only(b.MARKDOWN, (_table(behind, words.moved),)),
        b.Only(b.TERMINAL, (_table(few, _change),)),
    )


def _few(behind: list[Fact]) -> list[Fact]:
    """Return the first harmful and the first helpful rows, the strongest first."""
    kept = [[row for row in behind if row["kind"] == kind][:_SHORT] for kind in _TONES]
    return sorted((row for mine in kept for row in mine), key=lambda row: row["rank"])


def _change(value: float) -> str:
    if not words.known(value):
        return words.MISSING
    return f"{'falls' if value < 0 else 'rises'} {words.short(abs(value))}"


def _card(row: Fact) -> b.Card:
    name = row["train_row_id"][:_ROW]
    carriers = tuple(_carrier(term) for term in row["carriers"])
    cells = record(row["values"], row["carriers"], of=name, length=_TEXT, columns=_COLUMNS)
    return b.Card(
        title=(b.Cell(row["train_row_id"], _ROW), ", labelled “", b.Cell(row["label"], LABEL), "”"),
        name=name,
        blocks=(
            b.Sentence(f"Removing it {_does(row)}."),
            *((b.Fold("What carries it", (b.List(carriers),), open=True, of=name),) if carriers else ()),
            b.Fold("Its cells", (cells,), open=len(row["values"]) == 1, of=name),
        ),
    )


def _carrier(term: Term) -> b.Inline:
    how = "without it" if term.role == "text" else "with another cell there"
    return (
        b.Cell(term_name(term), LABEL),
        f": {how}, the loss of the test row {words.moved(term.contribution)}.",
    )


def _table(behind: list[Fact], say: Callable[[float], str]) -> b.Table:
    rows = tuple(
        (
            str(row["rank"]),
            b.Cell(row["train_row_id"], NAME),
            b.Cell(row["label"], 40),
            say(row["delta_loss_if_removed"]),
            b.Words(row["kind"], _TONES.get(row["kind"], "")),  # type: ignore[arg-type]
            joined(b.Cell(name, 40) for name in list(dict.fromkeys(map(term_name, row["carriers"])))[:2]),
        )
        for row in behind
    )
    return b.Table(
        caption="Training rows behind it",
        head=("", "training row", "label", "removed, the loss", "", "carried by"),
        rows=rows,
        short=2 * _SHORT,
        legend="What the loss of the test row does once the training row is removed, in nats.",
    )


def _flip_set(f: ExplanationFindings, sentence: str, rows: Rows) -> tuple[b.Section, ...]:
    if not sentence:
        return ()
    removed = tuple(
        (b.Cell(row_id, _ROW), b.Cell(label, LABEL), begins(rows.get(("train", row_id), ())))
        for row_id, label in f.flip.select("train_row_id", "label").iter_rows()
    )
    table = b.Table(
        caption="Training rows that are removed, in this order",
        head=("training row", "label", "begins"),
        rows=removed,
    )
    blocks = (b.Sentence(sentence), *((table,) if removed else ()))
    return (b.Section("How few rows flip it", blocks, rank=2, key="flip", nav="Flip set"),)


def _nearest(f: ExplanationFindings, rows: Rows) -> tuple[b.Block, ...]:
    return (
        b.Group("By cosine", (_near(f, rows, "cosine", "Largest cosine of the encoded features"),)),
        b.Group(
            "By distance",
            (_near(f, rows, "euclidean", "Smallest Euclidean distance of the encoded features"),),
        ),
    )


def _near(f: ExplanationFindings, rows: Rows, measure: str, caption: str) -> b.Table:
    found = list(f.neighbours.filter(measure=measure).sort("rank").iter_rows(named=True))
    values = [rows.get(("train", row["train_row_id"]), ()) for row in found]
    columns = 5 if any(values) else 4  # cells may be withheld
    head = ("training row", "label", "cosine" if measure == "cosine" else "distance", "removing it", "begins")
    lines = tuple(
        (
            b.Cell(row["train_row_id"], _ROW),
            b.Cell(row["label"], LABEL),
            words.short(row["value"]),
            _does(row),
            begins(mine),
        )[:columns]
        for row, mine in zip(found, values, strict=True)
    )
    return b.Table(caption=caption, head=head[:columns], rows=lines, short=4, terminal=(0, 1, 2))


def _parts(f: ExplanationFindings, behind: list[Fact]) -> tuple[b.Section, ...]:
    """Return the places of the rows by the whole influence, and by parts of its formula."""
    if not f.provenance.settings.get("show_components") or not behind:
        return ()
    names = ("place", "place_without_train_loss", "place_without_hessian")
    rows: tuple[tuple[b.Inline, ...], ...] = tuple(
        (b.Cell(row["train_row_id"], _ROW), *(_place(row[name]) for name in names)) for row in behind
    )
    table = b.Table(
        caption="Place of each row by the influence and by its parts",
        head=("training row", "influence", "without the training loss", "without the Hessian"),
        rows=rows,
        short=2 * _SHORT,
    )
    return (b.Section("Part by part", (table,), rank=0, key="parts", lead=_BY_PART, folded=True),)


def _place(at: int | None) -> str:
    return words.MISSING if at is None else f"place {words.count(at)}"


def _lines(f: ExplanationFindings) -> tuple[tuple[b.Inline, ...], ...]:
    """Return rank, training row, label and effect."""
    return tuple(
        (str(row["rank"]), b.Cell(row["train_row_id"], 200), b.Cell(row["label"], 40), row["effect"])
        for row in f.influences.sort("rank").iter_rows(named=True)
    )


def _following(p: ExplanationProvenance, folder: str) -> b.Section:
    if not common.may_type(p):
        return common.following(common.page_of(folder))
    flip = f"{p.command} --flip prediction" if not p.flip and p.model == "logistic" else ""
    parts = "" if p.settings.get("show_components") else f"{p.command} --show-components"
    return common.following(
        common.page_of(folder),
        ("How few rows flip it", flip),
        ("The influence part by part", parts),
        ("The influences for your own tools", f"{p.command} --format jsonl"),
    )
