"""Report of an explanation: one prediction, and the training rows behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import polars as pl

from dataaudit.findings.schemas import ExplanationFindings, ExplanationProvenance
from dataaudit.report import blocks as b
from dataaudit.report import common, versus, whatif, words
from dataaudit.report.common import LABEL, NAME, Fact, joined
from dataaudit.report.rows import Term, Value, begins, record, term_name, value_of
from dataaudit.report.versus import Rows

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
    own = f.contributions.select("column", "level", "cell", "contribution")
    roles = {str(role["column"]): str(role["role"]) for role in p.roles}
    terms = [_term(roles, *values) for values in own.iter_rows()]
    behind, rivals = _behind(f, rows, roles), versus.models(f, rows)
    data = (b.Cell(p.test_row_id), " by ", b.Cell(p.train, 100))
    flip = str(p.flip.get("sentence", ""))
    said = (_label(p), _cause(f), _strongest(behind), flip, whatif.sentence(f), versus.sentence(f, rivals))
    facts = (
        ("Run", b.Cell(p.run_id)),
        ("Training rows", words.count(p.n_train)),
        ("Test row", b.Cell(p.test_row_id, _ROW)),
    )
    return b.Report(
        kind="explanation",
        over=("Explanation of one prediction, from ", *common.pair_names(p)),
        name=(b.Cell(p.test_row_id), " by ", b.Cell(p.train, 58)),
        facts=common.heading(p, f"{words.count(p.n_train)} training rows, λ = {words.short(p.l2)}"),
        headline=_headline(f),
        sentences=common.said(*said, common.checked(f.health)),
        about=common.about(p, (*data, f", {words.count(p.n_train)} training rows")),
        sections=(
            common.notes(p, folder),
            b.Section("The row", _row(f, terms, rows), rank=0, key="row", folded=True),
            b.Section("Training rows behind it", _sides(behind), rank=0, key="behind", lead=_EXACT),
            *versus.sections(f, rivals),
            *_flip_set(f, flip, rows),
            *whatif.sections(f),
            b.Section("Nearest rows", _nearest(f, rows), rank=0, key="near", lead=_ALIKE, folded=True),
            *_parts(f, behind),
            common.trust(f.health, _NONE, page=False),
            _following(p, folder),
            *common.run(p, facts),
        ),
        lines=(b.Table(caption="Training rows", rows=_lines(behind)),),
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


def _values(f: ExplanationFindings) -> dict[tuple[str, str], tuple[Value, ...]]:
    """Return the cells of rows by part and name."""
    found: dict[tuple[str, str], list[Value]] = {}
    for row_id, column, text, part in f.cells.iter_rows():
        found.setdefault((part, row_id), []).append(value_of(column, text))
    return {key: tuple(values) for key, values in found.items()}


def _term(roles: Mapping[str, str], column: str, level: str | None, cell: str | None, effect: float) -> Term:
    """Return what a column, or a level in it, adds."""
    return Term(roles.get(column, ""), column, level, None if level is not None else cell, effect)


def _behind(f: ExplanationFindings, rows: Rows, roles: Mapping[str, str]) -> list[Fact]:
    """Return the rows behind the prediction, each with its cells and what carries its influence."""
    texts = set(f.features.filter(pl.col("level").is_not_null())["column"])
    carried: dict[str, list[Term]] = {}
    columns = f.features.select("train_row_id", "column", "level", "value", "finite_effect")
    for row_id, column, level, value, effect in columns.iter_rows():
        if level is not None or column not in texts:  # the whole text says less than its words
            carried.setdefault(row_id, []).append(_term(roles, column, level, value, effect))
    found = []
    for row in f.influences.sort("rank").iter_rows(named=True):
        carriers = _telling(carried.get(row["train_row_id"], ()), -1.0 if row["kind"] == "harmful" else 1.0)
        values = rows.get(("train", row["train_row_id"]), ())
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
        not_one = f"Its label{common.strange_classes(p)} is not one that training knows"
        explained = f"so it is explained for “{p.explained_label[:LABEL]}”"
        sides = "helpful rows support the prediction, harmful rows speak against it"
        return f"{not_one if strange else 'It has no label'}, {explained}: {sides}."
    loss = f"a loss of {p.loss:.3g} nats"
    if p.label == p.predicted_label:
        return f"Its label says so too: {loss}."
    gets = f"which gets {words.share(p.probability)}"
    return f"Its label is “{p.label[:LABEL]}”, {gets}: the prediction is wrong, {loss}."


def _cause(f: ExplanationFindings) -> str:
    speaks = f.contributions.filter(pl.col("contribution") > 0).head(1)
    return f"Most of all {speaks['effect'][0][:300]}." if len(speaks) else ""


def _strongest(behind: list[Fact]) -> b.Inline:
    if not behind:
        return "No training row has any influence on it."
    does = f": removing it {_does(behind[0])}."
    return ("The training row that matters most is ", b.Cell(behind[0]["train_row_id"], NAME), does)


def _does(row: Fact) -> str:
    return str(row["effect"]).removeprefix("removing this row ")


def _row(f: ExplanationFindings, terms: list[Term], rows: Rows) -> tuple[b.Block, ...]:
    """Return classes and cells of the row, and what its cells do."""
    p = f.provenance
    name = f"Test row {p.test_row}"
    label: tuple[b.Part, ...] = (
        (", no known label.",) if p.label is None else (", labelled “", b.Cell(p.label, LABEL), "”.")
    )
    values = rows.get(("test", p.test_row_id), ())
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
    return b.Table(
        caption="What its own cells do, the strongest first",
        head=("column or word", "what it does"),
        rows=tuple((b.Cell(term_name(t)), (_adds(t.contribution), *over)) for t in terms[:_TERMS]),
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
    columns: list[tuple[b.Block, ...]] = []
    first: list[Fact] = []
    for kind, lead in (
        ("harmful", "Without them the test row would be predicted better. The strongest first."),
        ("helpful", "Without them it would be predicted worse. The strongest first."),
    ):
        mine = [row for row in behind if row["kind"] == kind]
        first += mine[:_SHORT]
        cards = b.Cards(items=tuple(_card(row) for row in mine[:_SIDE]), empty="None.")
        columns.append((b.Group(kind.capitalize(), (b.Sentence(lead, "quiet"), cards)),))
    first.sort(key=lambda row: int(row["rank"]))
    return (
        b.Only(b.PAGE, (b.Grid(tuple(columns)),)),
        b.Only(b.MARKDOWN, (_table(behind, words.moved),)),
        b.Only(b.TERMINAL, (_table(first, _change),)),
    )


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
    loss = f": {how}, the loss of the test row {words.moved(term.contribution)}."
    return b.Cell(term_name(term), LABEL), loss


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
    other = f.flip["new_label"].is_not_null().any()
    changed = tuple(
        (
            b.Cell(row_id, _ROW),
            b.Cell(label, LABEL),
            *((b.Cell(new, LABEL),) if other else ()),
            begins(rows.get(("train", row_id), ())),
        )
        for row_id, label, new in f.flip.select("train_row_id", "label", "new_label").iter_rows()
    )
    caption = f"Training rows that {'get another label' if other else 'are removed'}, in this order"
    head = ("training row", "label", *(("instead",) if other else ()), "begins")
    blocks = (
        b.Sentence(sentence),
        *((b.Table(caption=caption, head=head, rows=changed),) if changed else ()),
    )
    return (b.Section("How few rows flip it", blocks, rank=2, key="flip", nav="Flip set"),)


def _nearest(f: ExplanationFindings, rows: Rows) -> tuple[b.Block, ...]:
    cosine = _near(f, rows, "cosine", "Largest cosine of the encoded features")
    distance = _near(f, rows, "euclidean", "Smallest Euclidean distance of the encoded features")
    return b.Group("By cosine", (cosine,)), b.Group("By distance", (distance,))


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

    def place(at: int | None) -> str:
        return words.MISSING if at is None else f"place {words.count(at)}"

    names = ("place", "place_without_train_loss", "place_without_hessian")
    rows: list[b.Line] = [
        (b.Cell(row["train_row_id"], _ROW), *(place(row[name]) for name in names)) for row in behind
    ]
    table = b.Table(
        caption="Place of each row by the influence and by its parts",
        head=("training row", "influence", "without the training loss", "without the Hessian"),
        rows=tuple(rows),
        short=2 * _SHORT,
    )
    return (b.Section("Part by part", (table,), rank=0, key="parts", lead=_BY_PART, folded=True),)


def _lines(behind: list[Fact]) -> tuple[b.Line, ...]:
    """Return rank, training row, label and effect."""
    return tuple(
        (str(row["rank"]), b.Cell(row["train_row_id"], 200), b.Cell(row["label"], 40), row["effect"])
        for row in behind
    )


def _following(p: ExplanationProvenance, folder: str) -> b.Section:
    flip = f"{p.command} --flip prediction" if not p.flip and p.model == "logistic" else ""
    parts = "" if p.settings.get("show_components") else f"{p.command} --show-components"
    return common.to_type(
        p,
        folder,
        ("How few rows flip it", flip),
        ("The influence part by part", parts),
        ("The influences for your own tools", f"{p.command} --format jsonl"),
    )
