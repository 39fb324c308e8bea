"""Report of an explanation: one prediction, and the training rows behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl

from dataaudit.findings.record import WITHHELD
from dataaudit.findings.schemas import ExplanationFindings, ExplanationProvenance
from dataaudit.report import blocks as b
from dataaudit.report import common, versus, words
from dataaudit.report.charts import lengths
from dataaudit.report.common import LABEL, NAME, Fact, joined
from dataaudit.report.rows import Rows, Term, begins, record, side_by_side, term_name, values_of

_NAMED: Final = 2  # columns or words that carry the influence of a training row
_TERMS: Final = 12  # columns or words of the test row on the page
_SIDE: Final = 10  # harmful rows, and helpful ones, on the page
_SHORT: Final = 6  # the same on a terminal
_TEXT: Final = 2400  # characters of a cell
_COLUMNS, _FEW = 12, 6  # of a row's cells, and where there is less room
_LEAST: Final = 0.05  # of the strongest effect of a row; weaker ones are not named
_TURNED: Final = 20  # test rows that get another class
_LEAVING: Final = 6  # classes of rows that are left out
_WHEN: Final = ("before", "predicted", "after")
_PREDICTED: Final = ("predicted_label", "predicted_without")
_SCOPES: Final = {"prediction": "this prediction", "test": "all test rows"}
_ROW: Final = 160  # characters of a row's name
_UNITS: Final = {"regression": "the unit of the label", "count": "logarithms of the count"}
_TONES: Final = {"harmful": "against", "helpful": "for"}


def report(f: ExplanationFindings, *, folder: str = "") -> b.Report:
    """Say what is predicted, what speaks for it, which rows are behind it, and what to type next."""
    p, rows = f.provenance, values_of(f.cells)
    own = f.contributions.select("column", "level", "cell", "contribution")
    roles = {str(role["column"]): str(role["role"]) for role in p.roles}
    terms = [_term(roles, *values) for values in own.iter_rows()]
    behind, rivals = _behind(f, rows, roles), versus.models(f, rows)
    data = (b.Cell(p.test_row_id), " by ", b.Cell(p.train, 100))
    flip = str(p.flip.get("sentence", ""))
    said = (
        _label(p),
        _cause(f),
        _strongest(behind),
        flip,
        str(p.without.get("sentence", "")),
        str(p.trust.get("sentence", "")),
        versus.sentence(f, rivals),
    )
    facts = (
        ("Run", b.Cell(p.run_id)),
        ("Training rows", words.count(p.n_train)),
        ("Test row", b.Cell(p.test_row_id, _ROW)),
    )
    return b.Report(
        kind="explanation",
        over=("Explanation of one prediction, from ", *common.pair_names(p)),
        name=(b.Cell(p.test_row_id), " of ", b.Cell(p.test, 58), " by ", b.Cell(p.train, 58)),
        facts=common.heading(p, f"{words.count(p.n_train)} training rows, λ = {words.short(p.l2)}"),
        headline=_headline(f),
        sentences=common.said(*said, common.checked(f.health)),
        about=common.about(p, (*data, f", {words.count(p.n_train)} training rows")),
        sections=(
            common.notes(p, folder),
            b.Section("The row", _row(f, terms, rows), rank=0, key="row", folded=True),
            *_flip_set(f, flip, rows, behind),
            b.Section("Training rows behind it", _sides(f, behind, rows), rank=0, key="behind", lead=_EXACT),
            *versus.sections(f, rivals),
            *_without(f),
            b.Section("Nearest rows", _nearest(f, rows), rank=0, key="near", lead=_ALIKE, folded=True),
            *_usual(f),
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
    "fitted model, with the correction for the row’s own leverage. Harmful rows speak against its label."
)
_LOSS: Final = (
    "Without it: what the loss of the test row does once the training row is removed, in nats. Carried by: "
    "with another cell there, or without the word, that loss would change by so much."
)
_BRIEF: Final = "Without it: what the loss of the test row does without the training row, in nats."
_PREDICTION: Final = " By how much the prediction then moves is in the unit of the label."
_ALIKE: Final = (
    "Training rows that look most like it. They know neither the labels nor the model: a near row need not "
    "matter, and a row that matters need not be near."
)
_USUAL: Final = (
    "Where the training rows behind a prediction are among the neighbours of its row (NNIF; Cohen, Sapiro & "
    "Giryes 2020), next to the same of other test rows, drawn at random. The rows most helpful to an "
    "adversarial or foreign row are far."
)
_MEASURES: Final = {
    "helpful": "mean place of the most helpful rows",
    "harmful": "mean place of the most harmful rows",
    "raising": "mean place of the rows that raise it most",
    "lowering": "mean place of the rows that lower it most",
    "apart": "from the mean label of the nearest rows",
    "nearest": "mean distance of the nearest rows",
}
_LEFT_OUT: Final = (
    "The training rows that fulfil the condition are left out all at once. What that does is predicted by "
    "one Newton step for the whole group and measured by training again; encoding and λ stay as they are."
)
_BY_PART: Final = (
    "Influence weighs a row by its own training loss and by the inverse Hessian. The places among all "
    "training rows, by size, of the whole and with either part left out (Koh & Liang 2017, section 2.3). "
    "Rows stand in the order of the change of the loss above, which is corrected for the row’s own leverage; "
    "influence is first order, so the places need not follow it."
)
_NONE: Final = "audit explain makes no refits of single rows: the changes of loss are predicted."


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
        carriers = _pulling(carried.get(row["train_row_id"], ()), -1.0 if row["kind"] == "harmful" else 1.0)
        values = rows.get(("train", row["train_row_id"]), ())
        found.append(row | {"carriers": carriers, "values": values})
    return found


def _pulling(terms: Iterable[Term], sign: float) -> tuple[Term, ...]:
    """Return the columns or words that pull the way the row does, the strongest first."""
    pulling = [term for term in terms if sign * term.contribution > 0]
    strongest = max((abs(term.contribution) for term in pulling), default=0.0)
    return tuple(t for t in pulling if abs(t.contribution) >= _LEAST * strongest)


def _headline(f: ExplanationFindings) -> str:
    p = f.provenance
    if p.is_number:
        return f"Test row {p.test_row} is predicted {p.predicted_label[:LABEL]}"
    share = f.probabilities["probability"][0]
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
    if p.is_number:
        return f"Its label is {p.label[:LABEL]}: {loss}."
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
    own = b.Fold("Its cells", (cells,), open=True, of=name)
    table = (_terms_table(p, terms),) if terms else ()  # none for a network
    classes = () if p.is_number else (_classes(f),)
    return (
        b.Only(b.PAGE, (b.Grid(((*classes, b.Sentence((name, *label)), own), table)),)),
        b.Only(b.MARKDOWN, table),
        b.Only(b.TERMINAL, _speaking(terms, _UNITS.get(p.task, "log-odds"))),
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
    shown, names = terms[:_TERMS], (b.Cell(p.predicted_label, 40), b.Cell(p.rival_label, 40))
    unit = _UNITS.get(p.task, "log-odds")
    said: b.Inline = f"What each adds to the prediction, or takes from it, in {unit}."
    if not p.is_number:
        said = ("What each adds to the log-odds of “", names[0], "” over “", names[1], "”, or takes from it.")
    return b.Table(
        caption="What its own cells do",
        head=("column or word", unit),
        rows=tuple((b.Cell(term_name(t)), _adds(t.contribution)) for t in shown),
        bars=lengths([t.contribution for t in shown]),
        total=len(terms),
        rest=("column or word", "columns or words: contributions.parquet"),
        lead=said,
        legend=said,
    )


def _adds(contribution: float) -> str:
    return f"{'adds' if contribution > 0 else 'takes'} {words.short(abs(contribution))}"


def _speaking(terms: list[Term], unit: str) -> tuple[b.Block, ...]:
    """Say which cells speak for and against the predicted class, or for a larger and a smaller number."""
    facts: list[tuple[str, b.Inline]] = []
    titles = ("For it", "Against") if unit == "log-odds" else ("Raises it", "Lowers it")
    for title, sign in zip(titles, (1.0, -1.0), strict=True):
        mine = [term for term in terms if sign * term.contribution > 0][:_SHORT]
        if mine:
            named = [(b.Cell(term_name(t), 40), f" ({words.fixed(abs(t.contribution))})") for t in mine]
            facts.append((title, (*joined(named), f", in {unit}.")))
    return (b.Facts(tuple(facts)),) if facts else ()


def _sides(f: ExplanationFindings, behind: list[Fact], rows: Rows) -> tuple[b.Block, ...]:
    """Return the rows behind the prediction: how far each moves the loss, what carries that, and cells."""
    if not behind:
        return (b.Only(b.PAGE, (b.Sentence("None.", "quiet"),)),)
    page, terminal = _strongest_of(behind, _SIDE), _strongest_of(behind, _SHORT)
    return (
        b.Only(b.PAGE, (_table(page, bars=True), _cells(f, page, rows))),
        b.Only(b.MARKDOWN, (_table(behind),)),
        b.Only(b.TERMINAL, (_table(terminal, brief=True),)),
    )


def _strongest_of(behind: list[Fact], most: int) -> list[Fact]:
    """Return the strongest harmful and helpful rows in their order."""
    sides = ([row for row in behind if row["kind"] == kind][:most] for kind in _TONES)
    return sorted((row for side in sides for row in side), key=lambda row: int(row["rank"]))


def _cells(f: ExplanationFindings, behind: list[Fact], rows: Rows) -> b.Fold:
    """Set the cells of the rows below those of the test row, columns that carry influence first."""
    p = f.provenance
    shown = [("Test row", p.label, rows.get(("test", p.test_row_id), ()), ())]
    shown += [(row["train_row_id"], row["label"], row["values"], row["carriers"]) for row in behind]
    caption = "The test row and the rows behind it"
    table = side_by_side(shown, target=p.target, caption=caption, most=_COLUMNS, tells=_columns(behind))
    return b.Fold("Their cells, below those of the test row", (table,), open=len(shown[0][2]) == 1)


def _table(behind: list[Fact], *, bars: bool = False, brief: bool = False) -> b.Table:
    number = any(row.get("delta_prediction_if_removed") is not None for row in behind)
    # On a terminal, where there is less room, the signs of both changes say what a row is.
    kind = ("",) * (not (brief and number))
    head = ("prediction", "loss", *kind) if number else ("without it, the loss", *kind)
    rows = tuple(
        (
            str(row["rank"]),
            b.Cell(row["train_row_id"], NAME),
            b.Cell(row["label"], 40),
            *((words.signed(row["delta_prediction_if_removed"], 3),) if number else ()),
            words.change(row["delta_loss_if_removed"]),
            *(b.Words(row["kind"], _TONES.get(row["kind"], "")) for _ in kind),  # type: ignore[arg-type]
            joined(_carrier(term, brief=brief) for term in row["carriers"][: 1 if brief else _NAMED]),
        )
        for row in behind
    )
    return b.Table(
        caption="Training rows behind it",
        head=("", "training row", "label", *head, "carried by"),
        rows=rows,
        bars=lengths([row["delta_loss_if_removed"] for row in behind]) if bars else (),
        short=2 * _SHORT,
        legend=_BRIEF + _PREDICTION * number if brief else _LOSS + _PREDICTION * number,
        lead=_LOSS + _PREDICTION * number,
    )


def _carrier(term: Term, *, brief: bool) -> b.Inline:
    name = b.Cell(term_name(term), 40)
    return name if brief else (name, f" ({words.short(abs(term.contribution), 2)})")


def _flip_set(f: ExplanationFindings, sentence: str, rows: Rows, behind: list[Fact]) -> tuple[b.Section, ...]:
    if not sentence:
        return ()
    named = list(f.flip.select("train_row_id", "label", "new_label").iter_rows())
    does = "get another label" if any(new for _, _, new in named) else "are removed"
    changed = tuple(
        (name, f"{label} → {new}" if new else label, rows.get(("train", name), ()), ())
        for name, label, new in named
    )
    caption, tells = f"Training rows that {does}, in this order", _columns(behind)
    table = side_by_side(changed, target=f.provenance.target, caption=caption, most=_FEW, tells=tells)
    blocks = (b.Sentence(sentence), *((table,) if changed else ()))
    return (b.Section("How few rows flip it", blocks, rank=2, key="flip", nav="Flip set"),)


def _columns(behind: list[Fact]) -> set[str]:
    """Return the columns that carry most of what the rows do."""
    return {term.column for row in behind for term in row["carriers"][:_NAMED]}


def _without(f: ExplanationFindings) -> tuple[b.Section, ...]:
    """Return the section about the rows that are left out, if there are some."""
    if not len(f.without):
        return ()
    condition = str(f.provenance.without.get("condition", ""))
    named = "some training rows" if condition == WITHHELD else condition[:LABEL]
    blocks = (b.Sentence(_leaving(f)), _effects(f), *_turned(f))
    return (b.Section(f"Without {named}", blocks, rank=0, key="without", nav="Without", lead=_LEFT_OUT),)


def _leaving(f: ExplanationFindings) -> b.Inline:
    """Say how many rows of each class leave, those of the largest share first."""
    if f.provenance.is_number:
        rows, n = words.count(f.provenance.without.get("rows")), words.count(f.provenance.n_train)
        return f"These are {rows} of {n} training rows."
    leave = f.without_classes.filter(pl.col("n_removed") > 0).sort(
        pl.col("n_removed") / pl.col("n"), descending=True
    )
    parts = [
        (f"{words.count(gone)} of {words.count(n)} rows of “", b.Cell(name, LABEL), "”")
        for name, n, gone in leave.head(_LEAVING).iter_rows()
    ]
    rest = words.more(len(leave) - _LEAVING, "class", "classes").rstrip(".")
    return "These are ", *joined(parts), f" {rest}." if rest else "."


def _effects(f: ExplanationFindings) -> b.Table:
    where = str(f.provenance.without.get("where") or "")
    scopes = _SCOPES | {"slice": "a slice of them" if where == WITHHELD else f"test rows where {where}"}
    rows: list[b.Line] = []
    number = f.provenance.is_number
    wrong, what = ("far off", "Unusually large errors") if number else ("wrong", "Wrong predictions")
    for one in f.without.iter_rows(named=True):
        errors = (words.count(one[f"errors_{when}"]) for when in _WHEN)
        losses = (words.short(one[f"loss_{when}"]) for when in _WHEN)
        rows.append((b.Cell(scopes.get(one["scope"], ""), 40), words.count(one["n"]), *errors, *losses))
    return b.Table(
        caption=f"{what} and mean loss (nats) without them",
        head=("of", "rows", f"{wrong} now", "one step", "refit", "loss now", "one step", "refit"),
        rows=tuple(rows),
    )


def _turned(f: ExplanationFindings) -> tuple[b.Block, ...]:
    """List the test rows that get another class, or whose number comes to be, or to be no more, far off."""
    number = f.provenance.is_number
    turned = f.turned if f.provenance.without.get("changes") else f.turned[1:]
    what = "becomes unusually far off, or is so no more" if number else "gets another class"
    if not len(turned):
        return (b.Sentence(f"No test row {what}."),)
    measure, measured = ("loss", "Loss in nats") if number else ("p", "Probability of the row’s own label")
    rows = tuple(_turn(one, measure) for one in turned.head(_TURNED).iter_rows(named=True))
    table = b.Table(
        caption="Test rows that become unusually far off, or are so no more"
        if number
        else "Test rows that get another class",
        head=("test row", "label", "now", "without", "loss" if number else "p(label)"),
        rows=rows,
        short=6,
        total=len(turned),
        rest=("test row", "test rows: turned.parquet"),
        legend=f"{measured}: now, predicted by one step, after the refit.",
    )
    return (table,)


def _turn(one: Fact, measure: str) -> b.Line:
    label = one["label"]
    now, then = (b.Cell(one[name], 24, "for" if one[name] == label else "") for name in _PREDICTED)
    p = ", ".join(words.fixed(one[f"{measure}_{when}"]) for when in ("before", "predicted", "after"))
    return (
        b.Cell(one["test_row_id"], NAME),
        words.MISSING if label is None else b.Cell(label, 24),
        now,
        then,
        p,
    )


def _nearest(f: ExplanationFindings, rows: Rows) -> tuple[b.Block, ...]:
    cosine = _near(f, rows, "cosine", "Largest cosine of the encoded features")
    distance = _near(f, rows, "euclidean", "Smallest Euclidean distance of the encoded features")
    return (b.Grid(((b.Group("By cosine", (cosine,)),), (b.Group("By distance", (distance,)),))),)


def _usual(f: ExplanationFindings) -> tuple[b.Section, ...]:
    """Return the section that compares the row with other test rows, if that was asked for."""
    if not len(f.trust):
        return ()
    others = words.count(f.trust["n_others"][0])
    rows = tuple(
        (
            _MEASURES.get(one["measure"], ""),
            words.short(one["value"]),
            words.short(one["usual"]),
            f"{words.count(one['n_as_far'])} of {others}",
        )
        for one in f.trust.iter_rows(named=True)
    )
    table = b.Table(
        caption="The row and other test rows",
        head=("", "this row", "their median", "as far or farther"),
        rows=rows,
        legend="Places are by distance among the training rows, their means geometric.",
    )
    return (b.Section("Trust in the prediction", (table,), rank=0, key="usual", nav="Trust", lead=_USUAL),)


def _near(f: ExplanationFindings, rows: Rows, measure: str, caption: str) -> b.Table:
    found = list(f.neighbours.filter(measure=measure).sort("rank").iter_rows(named=True))
    values = [rows.get(("train", row["train_row_id"]), ()) for row in found]
    columns = 5 if any(values) else 4  # cells may be withheld
    head = (
        "training row",
        "label",
        "cosine" if measure == "cosine" else "distance",
        "without it, the loss",
        "begins",
    )
    lines = tuple(
        (
            b.Cell(row["train_row_id"], _ROW),
            b.Cell(row["label"], LABEL),
            words.short(row["value"]),
            words.change(row["delta_loss_if_removed"]),
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
    flips = not (p.flip or p.is_number) and p.model == "logistic"
    flip = f"{p.command} --flip prediction" if flips else ""
    parts = "" if p.settings.get("show_components") else f"{p.command} --show-components"
    return common.to_type(
        p,
        folder,
        ("How few rows flip it", flip),
        ("The influence part by part", parts),
        ("The influences for your own tools", f"{p.command} --format jsonl"),
    )
